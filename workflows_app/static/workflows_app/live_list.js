// Keeps the rows of a list of runs up to date, as long as its tab is looked at.
"use strict";

(() => {
    const POLL = 5000;

    const nameOf = (row) => row.querySelector("th a, td a")?.getAttribute("href");

    // Cell by cell: the boxes to choose rows by are known to the admin's own script. Whether other
    // rows have come is said only: a row that moves under the pointer would be clicked by mistake.
    function update(shown, fresh) {
        const rows = new Map([...fresh.rows].map((row) => [nameOf(row), row]));
        for (const row of shown.rows) {
            const now = rows.get(nameOf(row));
            if (!now || now.cells.length !== row.cells.length || row.contains(document.activeElement)) continue;
            [...row.cells].forEach((cell, index) => {
                if (cell.classList.contains("action-checkbox")) return;
                if (cell.innerHTML !== now.cells[index].innerHTML) cell.innerHTML = now.cells[index].innerHTML;
            });
        }
        const known = new Set([...shown.rows].map(nameOf));
        return [...rows.keys()].some((name) => !known.has(name));
    }

    document.addEventListener("DOMContentLoaded", () => {
        const shown = document.querySelector(".model-run.change-list #result_list tbody");
        if (!shown) return;
        const news = document.createElement("p");
        const link = document.createElement("a");
        news.className = "wf-live-mark";
        news.setAttribute("role", "status");
        link.href = window.location.href;
        shown.closest("#result_list").before(news);

        async function poll() {
            if (document.hidden || !document.getSelection().isCollapsed) return;
            const asked = { credentials: "same-origin", redirect: "error", cache: "no-store" };
            const answer = await fetch(window.location.href, asked).catch(() => null);
            if (!answer?.ok) return;
            const page = new DOMParser().parseFromString(await answer.text(), "text/html");
            const fresh = page.querySelector("#result_list tbody");
            if (!fresh || !update(shown, fresh) || news.hasChildNodes()) return;
            link.textContent = document.getElementById("wf-list").dataset.news;
            news.append(link);
        }
        window.setInterval(poll, POLL);
    });
})();
