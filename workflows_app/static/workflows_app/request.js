// Shows the code of the call that is being written, as the server renders it.
"use strict";

(() => {
    const PAUSE = 250;

    async function show(form, signal) {
        const body = new FormData(form);
        body.set("show", "1");
        const answer = await fetch(form.action, { method: "POST", body, signal });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const texts = page.getElementById("wf-texts");
        if (answer.ok && texts) {
            document.getElementById("wf-texts").replaceChildren(...texts.childNodes);
        }
    }

    document.addEventListener("DOMContentLoaded", () => {
        const form = document.getElementById("wf-request");
        let timer;
        let asked = new AbortController();
        form?.addEventListener("input", () => {
            clearTimeout(timer);
            asked.abort();
            asked = new AbortController();
            const { signal } = asked;
            // Where the server does not answer, what is shown stays, and the button is still there.
            timer = setTimeout(() => show(form, signal).catch(() => {}), PAUSE);
        });
    });
})();
