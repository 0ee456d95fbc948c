// Keeps the page of a live run up to date. Without it, one reloads the page.
//
// A stream tells when something has changed; then the part of the page inside #wf-live is fetched
// anew. Where no stream is to be had, the page asks every few seconds whether something has.
"use strict";

(() => {
    const POLL = 3000;
    const REFUSALS = 2; // streams in a row that did not open, after which the page polls
    const POLLS = 10; // polls after which it tries once more to open a stream

    // -- what a reader has done to the part that is replaced: opened, scrolled, focused

    function remember(root) {
        const focused = document.activeElement;
        return {
            open: new Map([...root.querySelectorAll("details[id]")].map((each) => [each.id, each.open])),
            scroll: new Map(
                [...root.querySelectorAll("[id]")]
                    .filter((each) => each.scrollTop || each.scrollLeft)
                    .map((each) => [each.id, [each.scrollLeft, each.scrollTop]]),
            ),
            focus: root.contains(focused) && focused !== root ? pathTo(root, focused) : null,
        };
    }

    function restore(root, known) {
        for (const each of root.querySelectorAll("details[id]")) {
            if (known.open.has(each.id)) each.open = known.open.get(each.id);
        }
        for (const [id, [left, top]] of known.scroll) document.getElementById(id)?.scrollTo(left, top);
        if (known.focus) find(root, known.focus)?.focus({ preventScroll: true });
    }

    // The way to an element from its nearest ancestor with an id.
    function pathTo(root, element) {
        const steps = [];
        let at = element;
        while (at !== root && !at.id) {
            steps.unshift([...at.parentElement.children].indexOf(at));
            at = at.parentElement;
        }
        return { id: at.id, steps };
    }

    function find(root, path) {
        return path.steps.reduce((at, index) => at?.children[index], document.getElementById(path.id));
    }

    // Whoever is selecting or writing is not disturbed.
    function isBusy(root) {
        const selection = document.getSelection();
        const selects = selection && !selection.isCollapsed && root.contains(selection.anchorNode);
        const writes = document.activeElement?.matches("input, textarea, select");
        return selects || (writes && root.contains(document.activeElement));
    }

    // -- the mark that says whether the page keeps up

    function makeMark(root) {
        const mark = document.createElement("p");
        const state = document.createElement("span");
        const button = document.createElement("button");
        const voice = document.createElement("p");
        mark.className = "wf-live-mark";
        button.type = "button";
        voice.className = "visually-hidden";
        voice.setAttribute("role", "status");
        mark.append(state, " ", button);
        root.before(mark, voice);
        return {
            button,
            show(name) {
                mark.dataset.state = name;
                state.textContent = root.dataset[name];
                button.textContent = root.dataset[name === "paused" ? "start" : "stop"];
                button.hidden = name === "over";
            },
            say(text) {
                voice.textContent = text;
            },
        };
    }

    // -- the page

    function follow(root) {
        const page = window.location.pathname.replace(/change\/?$/, "");
        const mark = makeMark(root);
        const state = () => root.querySelector(".wf-badge")?.textContent.trim();
        let stream = null;
        let timer = null;
        let refusals = 0;
        let polls = 0;
        let stopped = false; // by the reader
        let over = false;
        let fetching = false;
        let stale = false;
        let known = ""; // what the server said of the run when it was asked last

        const ask = (path) => fetch(page + path, { credentials: "same-origin", redirect: "error", cache: "no-store" });

        async function refresh() {
            stale = true;
            if (fetching) return;
            fetching = true;
            try {
                while (stale && !isBusy(root)) {
                    stale = false;
                    await swap();
                }
            } catch {
                stale = true;
            } finally {
                fetching = false;
            }
            // Once its reader is done, or the server answers again.
            if (stale) window.setTimeout(refresh, POLL);
        }

        async function swap() {
            const answer = await ask(`fragment/${window.location.search}`);
            if (!answer.ok) throw new Error(answer.statusText);
            const html = await answer.text();
            const before = state();
            const kept = remember(root);
            root.innerHTML = html;
            restore(root, kept);
            root.dispatchEvent(new CustomEvent("wf:swapped", { bubbles: true }));
            if (state() !== before) mark.say(state());
        }

        function listen() {
            if (stopped || over || document.hidden || stream || timer) return;
            if (refusals >= REFUSALS) {
                timer = window.setInterval(poll, POLL);
                mark.show("polling");
                poll();
                return;
            }
            stream = new EventSource(`${page}live/`);
            stream.addEventListener("open", () => {
                refusals = 0;
                mark.show("live");
            });
            stream.addEventListener("changed", refresh);
            stream.addEventListener("ended", finish);
            stream.addEventListener("error", () => {
                if (refusals === 0) mark.show("lost");
                // The browser itself opens a stream anew that was cut off, but not one that is refused.
                if (stream?.readyState !== EventSource.CLOSED) return;
                refusals += 1;
                silence();
                listen();
            });
        }

        async function poll() {
            try {
                const answer = await ask("live/?poll=1");
                if (!answer.ok) throw new Error(answer.statusText);
                const said = await answer.json();
                if (!timer) return;
                mark.show("polling");
                if (said.mark !== known) refresh();
                known = said.mark;
                if (said.ended) finish();
                polls += 1;
                if (polls % POLLS === 0) {
                    silence();
                    refusals = REFUSALS - 1;
                    listen();
                }
            } catch {
                if (timer) mark.show("lost");
            }
        }

        function silence() {
            stream?.close();
            stream = null;
            window.clearInterval(timer);
            timer = null;
        }

        function finish() {
            over = true;
            silence();
            refresh();
            mark.show("over");
        }

        mark.button.addEventListener("click", () => {
            stopped = !stopped;
            silence();
            if (stopped) {
                mark.show("paused");
            } else {
                refusals = 0;
                refresh();
                listen();
            }
        });
        document.addEventListener("visibilitychange", () => (document.hidden ? silence() : listen()));
        // A page that comes back by the browser's "back" is as old as when it was left.
        window.addEventListener("pagehide", silence);
        window.addEventListener("pageshow", listen);

        mark.show("live");
        listen();
    }

    document.addEventListener("DOMContentLoaded", () => {
        const root = document.getElementById("wf-live");
        if (root && !("runEnded" in root.dataset)) follow(root);
    });
})();
