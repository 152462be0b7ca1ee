# Gives each bot of the staff a key of its own that may do only its job, and takes one back when a bot is replaced.
#
#   ./staff-keys.ps1 create
#   ./staff-keys.ps1 revoke NAME
#
# It runs where the shard runs, with its `shardapi` command and its settings (SHARDAPI_DATA_DIR or SHARDAPI_CONFIG). Each
# secret is printed this once.
param(
    [Parameter(Mandatory)][ValidateSet("create", "revoke")][string]$Command,
    [string]$Name
)
$ErrorActionPreference = "Stop"
$Staff = [ordered]@{
    dashboard = "--bundle", "dashboard"
    alerts = "--scope", "write:acars"
    assigner = "--scope", "read:status", "--scope", "read:assignments", "--scope", "write:assignments"
    automation = "--bundle", "ops"
}

# Runs a command of the shard's; ends with what it says if it refuses.
function Invoke-ShardCommand([string[]]$Arguments) {
    $Said = & shardapi @Arguments --json
    if ($LASTEXITCODE -ne 0) { exit 1 }
    ($Said -join "`n") | ConvertFrom-Json
}

if ($Command -eq "create") {
    foreach ($One in $Staff.Keys) {
        $Key = Invoke-ShardCommand (@("keys", "create", $One) + $Staff[$One])
        Write-Output ("{0,-12} {1}" -f $One, $Key.secret)
    }
}
else {
    $Live = @(Invoke-ShardCommand @("keys", "list") | ForEach-Object { $_ } |
            Where-Object { $_.name -ceq $Name -and $_.state -eq "live" })
    if ($Live.Count -eq 0) {
        [Console]::Error.WriteLine("there is no live key called $Name")
        exit 1
    }
    foreach ($Key in $Live) {
        $null = Invoke-ShardCommand @("keys", "revoke", $Key.id)
        Write-Output "$($Key.id) ($Name) is revoked."
    }
}
