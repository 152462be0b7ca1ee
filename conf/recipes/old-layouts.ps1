# Keeps old channel layouts: stores a net as it is now, finds stored ones by words, brings one back.
#
#   $env:SHARD = "https://shard.example.com"; $env:KEY = "scok_..."
#   ./old-layouts.ps1 keep NET [NOTES] [TAG...]
#   ./old-layouts.ps1 search WORDS
#   ./old-layouts.ps1 restore UID
#
# Nets that are removed are kept by the shard itself, and restored with the uid they had.
param(
    [Parameter(Mandatory)][ValidateSet("keep", "search", "restore")][string]$Command,
    [Parameter(Mandatory)][string]$What,
    [string]$Notes = "",
    [Parameter(ValueFromRemainingArguments)][string[]]$Tags = @()
)
$ErrorActionPreference = "Stop"
foreach ($Name in "SHARD", "KEY") {
    if (-not [Environment]::GetEnvironmentVariable($Name)) { Write-Error "$Name is not set" }
}
$Headers = @{ Authorization = "Bearer $env:KEY" }

# One call of the Owner API; ends with what the shard says if it refuses.
function Invoke-Shard([string]$Method, [string]$Path, $Body) {
    $Call = @{ Uri = "$env:SHARD/api/v1$Path"; Method = $Method; Headers = $Headers }
    if ($null -ne $Body) {
        $Call.ContentType = "application/json"
        $Call.Body = [Text.Encoding]::UTF8.GetBytes((ConvertTo-Json -InputObject $Body -Depth 6))
    }
    try { Invoke-RestMethod @Call }
    catch {
        if (-not $_.ErrorDetails) { throw }
        $Problem = $_.ErrorDetails.Message | ConvertFrom-Json
        [Console]::Error.WriteLine("$Method ${Path}: $($Problem.error) $($Problem.hint)")
        exit 1
    }
}

switch ($Command) {
    "keep" {
        $Net = (Invoke-Shard GET "/status").nets | Where-Object { $_.name -ceq $What } | Select-Object -First 1
        if (-not $Net) {
            [Console]::Error.WriteLine("there is no net called $What")
            exit 1
        }
        $Assignments = (Invoke-Shard GET "/assignments").assignments
        $Entry = @{
            name = $What
            notes = $Notes
            tags = @($Tags | Where-Object { $_ })
            assignedUserIds = @($Assignments.PSObject.Properties | Where-Object { $_.Value -contains $Net.id } |
                    ForEach-Object { $_.Name })
            relayTargetNetUids = @($Net.relayTargetNetUids)
        }
        $Kept = (Invoke-Shard POST "/archive" $Entry).entry
        Write-Output "Kept $($Kept.name) with $(@($Kept.assignedUserIds).Count) people as $($Kept.uid)."
    }
    "search" {
        foreach ($Entry in (Invoke-Shard GET "/archive?q=$([uri]::EscapeDataString($What))").entries) {
            $Day = ([datetime]$Entry.archivedAt).ToUniversalTime().ToString("yyyy-MM-dd")
            Write-Output "$($Entry.uid)  $Day  $($Entry.name)  $($Entry.tags -join ' ')"
        }
    }
    "restore" {
        $Net = Invoke-Shard POST "/archive/$([uri]::EscapeDataString($What))/restore" @{}
        Write-Output "$($Net.name) is net $($Net.netId) now ($($Net.netUid))."
    }
}
