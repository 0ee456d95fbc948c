// The page of a run: counts down to what comes next, copies values, and shows other parts of the
// timeline without a new page. Everything here works without it too, but for copying.

const root = document.documentElement;
root.classList.add("wf-js");

// -- counting down

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
const begun = new WeakMap(); // When this page first saw a countdown, and what was left then.

function inWords(seconds) {
    const parts = [];
    let left = Math.round(seconds);
    for (const [name, unit] of UNITS) {
        const count = Math.floor(left / unit);
        left -= count * unit;
        if (parts.length || count) parts.push(count ? `${count} ${name}` : "");
        if (parts.length === 2) break;
    }
    return parts.filter(Boolean).join(" ");
}

function countDown() {
    for (const time of document.querySelectorAll("time[data-countdown]")) {
        if (!begun.has(time)) {
            // By the server's clock: this machine's may be wrong.
            const left = (Date.parse(time.dateTime) - Date.parse(time.dataset.now)) / 1000;
            begun.set(time, { at: performance.now(), left });
        }
        const { at, left } = begun.get(time);
        const seconds = left - (performance.now() - at) / 1000;
        time.textContent = seconds >= 0.5
            ? time.dataset.countdown.replace("{}", inWords(seconds))
            : time.dataset.past;
    }
}

countDown();
setInterval(countDown, 1000);

// -- copying

async function copy(button) {
    const { url, copied, failed } = button.dataset;
    const label = button.textContent;
    try {
        const text = url
            ? await (await fetch(url)).text()
            : button.closest(".wf-copyable").querySelector("pre").textContent;
        await navigator.clipboard.writeText(text);
        button.textContent = copied;
    } catch {
        button.textContent = failed;
    }
    setTimeout(() => { button.textContent = label; }, 2000);
}

// -- other parts of the timeline

const addressOf = (link) => link.href.baseVal ?? link.href; // A link of the drawing is SVG's.

let asked = 0;

async function showPart(link) {
    const mine = ++asked;
    const query = new URL(addressOf(link), location.href).search;
    const answer = await fetch(location.pathname.replace(/change\/?$/, "fragment/") + query);
    if (!answer.ok) throw new Error(answer.statusText);
    const name = link.dataset.wfPart;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== asked) return; // Something else was asked for meanwhile.
    const fresh = page.getElementById(name);
    document.getElementById(name).replaceWith(fresh);
    // What follows the address of this page, as live updates do, asks for the same part.
    history.replaceState(null, "", location.pathname + query);
    const next = (link.id && document.getElementById(link.id)) || fresh.querySelector("#wf-zoom-in");
    next?.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
    const button = event.target.closest("button.wf-copy");
    if (button) copy(button);
    const link = event.target.closest("a[data-wf-part]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    showPart(link).catch(() => { location.href = addressOf(link); });
});

// -- the details of a step that is led to

function openTarget() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = target && target.closest("details");
    if (details) {
        details.open = true;
        target.scrollIntoView({ block: "nearest" });
    }
}

addEventListener("hashchange", openTarget);
openTarget();
