// What the pages can do better with a script. All of them work without it.

const SIGN_OUT = 'form[action="/logout"]';

submitOnChange();
keepDrafts();
countDown();
offerToCopy();
showNoPageAgain();

/** A choice takes effect at once; without a script there is the button beside it. */
function submitOnChange() {
  for (const form of document.querySelectorAll('form[data-submit-on-change]')) {
    for (const select of form.querySelectorAll('select')) {
      select.addEventListener('change', () => form.requestSubmit());
    }
  }
}

/**
 * What was typed into a contact's form outlives a sign-in that comes between: it is kept in this
 * tab until the contact is saved or the user signs out, and only ever shown to who typed it.
 */
function keepDrafts() {
  const form = document.querySelector('form[data-draft-of]');
  const key = form && `draft ${form.getAttribute('action')} ${form.dataset.draftOf}`;
  if (document.querySelector('[data-saved]')) forget();
  for (const link of document.querySelectorAll('a[data-discards]')) {
    link.addEventListener('click', () => forget(`${link.dataset.discards} `));
  }
  for (const leave of document.querySelectorAll(SIGN_OUT)) {
    leave.addEventListener('submit', () => forget());
  }
  if (!key) return;

  const fields = [...form.querySelectorAll('input:not([type="hidden"]), textarea')];
  const shown = JSON.stringify(valuesOf(fields));
  const kept = sessionStorage.getItem(key);
  // A page that says what was wrong has what was typed; only one that begins anew has not.
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

/** A time that runs out is told by the second. */
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

/** A button beside a text to copy; without a script nobody could press it. */
function offerToCopy() {
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
 * Browsers may keep a page that is left, although it says `no-store`, and show it again as it was,
 * to whoever uses them by then. What was someone's is fetched anew instead.
 */
function showNoPageAgain() {
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

/** Forgets all drafts, or those of the form with this action and a space behind it. */
function forget(form = '') {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith(`draft ${form}`)) sessionStorage.removeItem(key);
  }
}
