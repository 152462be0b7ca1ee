# Sorts members by their Discord roles: who holds a role is on its net at once, or the moment they join.
#
#   $env:SHARD = "https://shard.example.com"; $env:KEY = "scok_..."
#   ./sort-by-role.ps1 -Roles roles.csv
#
# The file has the columns roleId,role,net. Rules of other roles stay as they are.
param([string]$Roles = "$PSScriptRoot/roles.csv")
$ErrorActionPreference = "Stop"
foreach ($Name in "SHARD", "KEY") {
    if (-not [Environment]::GetEnvironmentVariable($Name)) { Write-Error "$Name is not set" }
}
$Headers = @{ Authorization = "Bearer $env:KEY" }

# One call of the Owner API; ends with what the shard says if it refuses. Nothing comes back if something was changed
# since the look at /status and there is a try left.
function Invoke-Shard([string]$Method, [string]$Path, $Body, $Version) {
    $Call = @{ Uri = "$env:SHARD/api/v1$Path"; Method = $Method; Headers = $Headers }
    if ($null -ne $Version) { $Call.Headers = $Headers + @{ "If-Match" = "`"$Version`"" } }
    if ($null -ne $Body) {
        $Call.ContentType = "application/json"
        $Call.Body = [Text.Encoding]::UTF8.GetBytes((ConvertTo-Json -InputObject $Body -Depth 6))
    }
    try { Invoke-RestMethod @Call }
    catch {
        if (-not $_.ErrorDetails) { throw }
        $Problem = $_.ErrorDetails.Message | ConvertFrom-Json
        if ($Problem.code -eq "precondition_failed" -and $Try -lt 5) { return $null }
        [Console]::Error.WriteLine("$Method ${Path}: $($Problem.error) $($Problem.hint)")
        exit 1
    }
}

# On a busy shard something often is changed meanwhile: then look again.
foreach ($Try in 1..5) {
    $Nets = New-Object "System.Collections.Generic.Dictionary[string,string]"
    $Status = Invoke-Shard GET "/status"
    foreach ($Net in $Status.nets) { $Nets[$Net.name] = $Net.netUid }
    $Wanted = [ordered]@{}
    foreach ($Row in @(Import-Csv -Path $Roles -Encoding UTF8)) {
        if (-not $Nets.ContainsKey($Row.net)) {
            [Console]::Error.WriteLine("there is no net called $($Row.net)")
            exit 1
        }
        $Wanted[$Row.roleId] = @($Wanted[$Row.roleId]) + $Nets[$Row.net] | Where-Object { $_ }
    }

    $Rules = @(foreach ($Rule in (Invoke-Shard GET "/rules").rules) {
            if (-not $Wanted.Contains($Rule.roleId)) { @{ roleId = $Rule.roleId; netUids = @($Rule.netUids) } }
        })
    $Rules += @(foreach ($Role in $Wanted.Keys) { @{ roleId = $Role; netUids = @($Wanted[$Role]) } })
    $Body = @{ rules = $Rules }

    # First only see what would come of it, then do it; refused if anything was changed since the look at /status.
    $Trial = Invoke-Shard POST "/rules?dryRun=true" $Body $Status.version
    if ($null -eq $Trial) { continue }
    if (-not $Trial.changed) {
        Write-Output "Nothing to change."
        exit 0
    }
    $Done = Invoke-Shard POST "/rules" $Body $Status.version
    if ($null -eq $Done) { continue }
    foreach ($Rule in $Done.rules) {
        Write-Output "$($Rule.roleId) is on $($Rule.netUids -join ', ')"
    }
    exit 0
}
