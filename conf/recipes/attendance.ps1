# Keeps an attendance list from the event stream, without polling: who was there, who came, who went, and when.
#
#   $env:SHARD = "https://shard.example.com"; $env:KEY = "scok_..."
#   ./attendance.ps1 -List attendance.csv -Seconds 3600
#
# It adds to the file until it is interrupted, or for so many seconds. The id of the last event lies beside it: started
# again, it tells what it missed meanwhile.
param([string]$List = "attendance.csv", [double]$Seconds = 31536000)
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

function Add-Row($At, $UserId, $DisplayName, $What) {
    $Time = ([datetime]$At).ToUniversalTime().ToString("yyyy-MM-ddTHH:mm:ss.fffZ")
    [pscustomobject]@{ at = $Time; userId = $UserId; displayName = $DisplayName; what = $What } |
        Export-Csv -Path $List -Append -NoTypeInformation -Encoding UTF8
}

# Everyone who is there now.
function Add-Present {
    foreach ($One in (Invoke-Shard GET "/roster").operators) {
        Add-Row ([datetime]::UtcNow) $One.userId $One.displayName "present"
    }
}

$Place = "$List.last"
$Last = if (Test-Path $Place) { (Get-Content -Path $Place -Raw).Trim() } else { "" }
Add-Type -AssemblyName System.Net.Http
$Client = New-Object System.Net.Http.HttpClient
$Client.Timeout = [Threading.Timeout]::InfiniteTimeSpan
$Ends = [datetime]::UtcNow.AddSeconds($Seconds)
while ([datetime]::UtcNow -lt $Ends) {
    $Response = $null
    $Url = "$env:SHARD/api/v1/stream?types=user.joined,user.left"
    $Request = New-Object System.Net.Http.HttpRequestMessage ([Net.Http.HttpMethod]::Get), $Url
    $null = $Request.Headers.TryAddWithoutValidation("Authorization", "Bearer $env:KEY")
    if ($Last) { $null = $Request.Headers.TryAddWithoutValidation("Last-Event-ID", $Last) }
    try {
        $Response = $Client.SendAsync($Request, [Net.Http.HttpCompletionOption]::ResponseHeadersRead).GetAwaiter().GetResult()
        if (-not $Response.IsSuccessStatusCode) {
            $Problem = $Response.Content.ReadAsStringAsync().GetAwaiter().GetResult() | ConvertFrom-Json
            [Console]::Error.WriteLine("GET /stream: $($Problem.error) $($Problem.hint)")
            exit 1
        }
        if (-not $Last) { Add-Present }
        $Reader = New-Object IO.StreamReader ($Response.Content.ReadAsStreamAsync().GetAwaiter().GetResult())
        while ($true) {
            $Reading = $Reader.ReadLineAsync()
            $Left = ($Ends - [datetime]::UtcNow).TotalMilliseconds
            # The shard says something every 15 seconds; after a break the stream goes on where we were.
            if ($Left -le 0 -or -not $Reading.Wait([int][math]::Min(40000, $Left))) { break }
            $Line = $Reading.Result
            if ($null -eq $Line) { break }
            if (-not $Line.StartsWith("data: ")) { continue }
            $Told = $Line.Substring(6) | ConvertFrom-Json
            switch ($Told.type) {
                "stream.gap" { Add-Present } # what happened in between is not kept any more
                "user.joined" { Add-Row $Told.at $Told.data.userId $Told.data.displayName "joined" }
                "user.left" { Add-Row $Told.at $Told.data.userId $Told.data.displayName "left" }
            }
            $Last = $Told.id
            Set-Content -Path "$Place.new" -Value $Last
            Move-Item -Force -Path "$Place.new" -Destination $Place # whole, even if this is ended now
        }
    }
    catch [Net.Http.HttpRequestException], [IO.IOException], [AggregateException] {
        [Console]::Error.WriteLine("GET /stream: $($_.Exception.Message); once more")
    }
    finally {
        if ($Response) { $Response.Dispose() }
    }
    if ([datetime]::UtcNow.AddSeconds(2) -lt $Ends) { Start-Sleep -Seconds 2 }
}
$Entries = if (Test-Path $List) { @(Import-Csv -Path $List).Count } else { 0 }
Write-Output "$Entries entries in $List."
