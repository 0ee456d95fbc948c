// Goes on by itself with what is done in parts; without this there is a button.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    const form = document.querySelector("form[data-wf-continue]");
    if (!form) return;
    const timer = setTimeout(() => form.submit(), 200);
    form.querySelector(".closelink").addEventListener("click", () => clearTimeout(timer));
});
