# Builds tonight's board from signups: a net for each squad, everyone on theirs, the operation opened, a briefing sent.
#
#   $env:SHARD = "https://shard.example.com"; $env:KEY = "scok_..."
#   ./board-from-signups.ps1 -Signups signups.csv -Briefing "Briefing in 5 minutes"
#
# The file has the columns userId,name,squad. -Rename "Old Name=New Name" takes over a net of last week for a squad of
# today first. A second run makes no second net.
param(
    [string]$Signups = "$PSScriptRoot/signups.csv",
    [string]$Briefing = "Briefing in 5 minutes",
    [string]$Rename = $env:RENAME
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

$Rows = @(Import-Csv -Path $Signups -Encoding UTF8)
$Nets = New-Object "System.Collections.Generic.Dictionary[string,string]"
foreach ($Net in (Invoke-Shard GET "/status").nets) { $Nets[$Net.name] = $Net.netUid }

if ($Rename) {
    $Old, $New = $Rename -split "=", 2
    if ($Nets.ContainsKey($Old)) {
        $null = Invoke-Shard POST "/nets/rename" @{ netUid = $Nets[$Old]; name = $New }
        $Nets[$New] = $Nets[$Old]
        $null = $Nets.Remove($Old)
        Write-Output "$Old is called $New now."
    }
}

foreach ($Squad in ($Rows.squad | Sort-Object -Unique -CaseSensitive)) {
    if (-not $Nets.ContainsKey($Squad)) {
        $Nets[$Squad] = (Invoke-Shard POST "/nets" @{ name = $Squad }).netUid
        Write-Output "Made the net $Squad ($($Nets[$Squad]))."
    }
}

for ($From = 0; $From -lt $Rows.Count; $From += 200) {
    $Items = @($Rows | Select-Object -Skip $From -First 200 | ForEach-Object {
            @{ userId = $_.userId; netUid = $Nets[$_.squad] }
        })
    $Done = Invoke-Shard POST "/assignments/bulk" @{ assignments = $Items; atomic = $true }
    Write-Output "Assigned $($Done.applied), $($Done.skipped) were so already."
}

$null = Invoke-Shard POST "/operation" @{ open = $true }
Write-Output "The operation is open."
$Alert = Invoke-Shard POST "/acars" @{ text = $Briefing; senderName = "Ops" }
Write-Output "The briefing reached $($Alert.routed) clients."
