# Shows the org what is live: prints it, and writes a page with the widget that any static site can serve.
#
#   $env:SHARD = "https://shard.example.com"; $env:KEY = "scok_..."
#   ./show-what-is-live.ps1 -Page live.html
#
# The page has a public token, which only reads, and never the key. `shardapi public-token rotate` ends every token
# that is out there; run this again then.
param([string]$Page = "live.html")
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

$Token = Invoke-Shard GET "/public-token"
$Widget = [Net.WebUtility]::HtmlEncode($Token.widgetUrl)
@"
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Live</title>
<h1>Live</h1>
<iframe src="$Widget" title="Who is on the air" style="width: 100%; height: 32rem; border: 0"></iframe>
</html>
"@ | Set-Content -Path $Page -Encoding UTF8
Write-Output "Wrote $Page."

# What the page shows, anyone may read: without a key, from any site.
$Live = Invoke-RestMethod $Token.statusUrl
$State = if ($Live.operationOpen) { "open" } else { "closed" }
Write-Output "$($Live.guildName): the operation is $State, $($Live.connected) connected."
foreach ($Net in $Live.nets) {
    $OnAir = if ($Net.tx) { ", on the air" } else { "" }
    Write-Output "  $($Net.name): $($Net.occupancy)$OnAir"
}
