"use strict";
(() => {
  const says = document.getElementById("says");
  const button = document.getElementById("confirm");
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  // The token has no business in the history of a shared machine.
  history.replaceState(null, "", location.pathname);
  if (!token) {
    says.textContent = "This link is not complete. Open it from the mail again.";
    return;
  }
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    says.textContent = "One moment…";
    try {
      const answer = await fetch(location.pathname, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ token }),
        credentials: "omit",
        signal: AbortSignal.timeout(20000),
      });
      if (answer.ok) {
        button.hidden = true;
        says.textContent = "Thank you. Your e-mail address is confirmed; you can close this page.";
        return;
      }
      if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) {
        button.hidden = true;
        says.textContent = "This link is not valid any more. Ask for a new mail.";
        return;
      }
      says.textContent = "That did not work just now. Wait a moment and press the button again.";
    } catch {
      says.textContent = "The service cannot be reached. Wait a moment and press the button again.";
    }
    button.disabled = false;
  });
})();
