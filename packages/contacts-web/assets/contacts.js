// Improves the pages with a script. All of them work without it.

const SIGN_OUT = 'form[action="/logout"]';
/** A later click is a new try, for example after the user has stopped a slow answer. */
const REPEATED_CLICK_MS = 3000;

submitOnChange();
sendOnce();
keepDrafts();
countDown();
showCopyButtons();
reloadRestoredPages();

/** Submits a form when a choice changes. Without a script the user presses its button. */
function submitOnChange() {
  for (const form of document.querySelectorAll('form[data-submit-on-change]')) {
    for (const select of form.querySelectorAll('select')) {
      select.addEventListener('change', () => form.requestSubmit());
    }
  }
}

/** Ignores the second click of a double click: it would add a contact twice, or conflict with the first. */
function sendOnce() {
  let sentAt = Number.NEGATIVE_INFINITY;
  document.addEventListener('submit', (event) => {
    if (event.target.method !== 'post') return;
    if (event.timeStamp - sentAt < REPEATED_CLICK_MS) event.preventDefault();
    else sentAt = event.timeStamp;
  });
}

/**
 * Keeps the input of a contact's form over a new sign-in. It stays in this tab until the contact is
 * saved or the user signs out, and only the user who typed it sees it.
 */
function keepDrafts() {
  const form = document.querySelector('form[data-draft-of]');
  const key = form && `draft ${form.getAttribute('action')} ${form.dataset.draftOf}`;
  if (document.querySelector('[data-saved]')) removeDrafts();
  for (const link of document.querySelectorAll('a[data-discards]')) {
    link.addEventListener('click', () => removeDrafts(`${link.dataset.discards} `));
  }
  for (const signOut of document.querySelectorAll(SIGN_OUT)) {
    signOut.addEventListener('submit', () => removeDrafts());
  }
  if (!key) return;

  const fields = [...form.querySelectorAll('input:not([type="hidden"]), textarea')];
  const shown = JSON.stringify(valuesOf(fields));
  const kept = sessionStorage.getItem(key);
  // A page with an error already contains the input.
  if (kept && kept !== shown && !document.querySelector('[role="alert"]')) restore(fields, kept);
  document.addEventListener('submit', ({ target }) => {
    if (target.matches(SIGN_OUT)) return;
    const typed = JSON.stringify(valuesOf(fields));
    if (typed !== shown || kept) sessionStorage.setItem(key, typed);
  });

  function restore(inputs, json) {
    const values = JSON.parse(json);
    for (const input of inputs) input.value = values[input.name] ?? input.value;
    const note = document.createElement('p');
    note.className = 'hint';
    note.setAttribute('role', 'status');
    note.textContent = 'What you typed before is still here. It is not saved yet.';
    form.querySelector('h2').after(note);
  }
}

/** Shows the remaining time of each token, every second. */
function countDown() {
  for (const time of document.querySelectorAll('[data-expires]')) {
    const end = Number(time.dataset.expires);
    const show = () => {
      const left = Math.max(0, Math.round(end - Date.now() / 1000));
      time.textContent = inWords(left);
      if (left > 0) setTimeout(show, 1000);
    };
    show();
  }
}

function inWords(seconds) {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return first === -1
    ? '0 s'
    : parts
        .slice(first)
        .map(([count, unit]) => `${count} ${unit}`)
        .join(' ');
}

/** Shows the copy buttons. They are hidden because they do nothing without a script. */
function showCopyButtons() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll('button[data-copies]')) {
    button.hidden = false;
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(
        document.getElementById(button.dataset.copies).textContent,
      );
      button.textContent = 'Copied';
    });
  }
}

/**
 * Reloads a page of a signed-in user that the browser restores from its back/forward cache. Browsers
 * may keep such a page in spite of `no-store`, and the next person at the browser could see it.
 */
function reloadRestoredPages() {
  if (!document.querySelector(SIGN_OUT)) return;
  window.addEventListener('pagehide', ({ persisted }) => {
    if (persisted) document.body.hidden = true;
  });
  window.addEventListener('pageshow', ({ persisted }) => {
    if (persisted) location.reload();
  });
}

function valuesOf(fields) {
  return Object.fromEntries(fields.map(({ name, value }) => [name, value]));
}

/** Removes all drafts, or those of one form: its action, followed by a space. */
function removeDrafts(form = '') {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith(`draft ${form}`)) sessionStorage.removeItem(key);
  }
}
