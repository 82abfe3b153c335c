// The ranking page. Whatever a model or a person wrote goes into the page by textContent, never as HTML.
'use strict';
(() => {
  const settings = JSON.parse(document.getElementById('settings').textContent);
  const LETTERS = 'ABCDEFGHI';
  const FEW_TASKS = 6;
  const $ = (id) => document.getElementById(id);

  function make(tag, classes, text) {
    const element = document.createElement(tag);
    if (classes) element.className = classes;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  const nth = (place) => place + (['th', 'st', 'nd', 'rd'][place] || 'th');
  const say = (text) => { $('said').textContent = text; };

  function newId() { // crypto.randomUUID is missing on pages of another machine without TLS
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, '0')).join('');
  }

  // ---- What is kept in this browser: choices that the server has not confirmed, each under a key of its own.
  const memory = new Map(); // stands in where a browser refuses to store
  const own = (name) => `hftrain-rank/${settings.store}/${name}`;
  const kept = {
    get(name) { try { return localStorage.getItem(own(name)); } catch { return memory.get(name) ?? null; } },
    set(name, value) {
      try { localStorage.setItem(own(name), value); memory.delete(name); } catch { memory.set(name, value); }
    },
    remove(name) { memory.delete(name); try { localStorage.removeItem(own(name)); } catch { /* it was in memory */ } },
    names(kind) {
      const found = new Set([...memory.keys()]);
      try {
        for (let at = 0; at < localStorage.length; at++) {
          const key = localStorage.key(at);
          if (key.startsWith(own(''))) found.add(key.slice(own('').length));
        }
      } catch { /* memory alone */ }
      return [...found].filter((name) => name.startsWith(kind + '/')).sort();
    },
  };
  let turn = 0, changes = 0;
  const queued = () => kept.names('queue').map((name) => ({ name, choice: JSON.parse(kept.get(name)) }));
  function enqueue(choice) {
    changes++;
    const when = String(Date.now()).padStart(15, '0') + '-' + String(turn++).padStart(6, '0');
    kept.set(`queue/${when}-${choice.choice_id}`, JSON.stringify(choice));
    send();
  }

  // ---- Talking to the server.
  async function ask(path, body) {
    const given = body === undefined ? {} : {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
    };
    const answer = await fetch(path, { ...given, credentials: 'same-origin', signal: AbortSignal.timeout(15000) });
    if (answer.status === 401) throw Object.assign(new Error('closed'), { isClosed: true });
    if (!answer.ok) throw Object.assign(new Error(`status ${answer.status}`), { status: answer.status });
    return answer.json();
  }

  function nextBatch() { // what one request may hold, in the order in which it was decided
    let characters = 0;
    return queued().slice(0, 40).filter((each, at) => (characters += JSON.stringify(each.choice).length) < 60000 || at === 0);
  }
  let isSending = false, wait = 0, timer = 0, isAway = false, isClosed = false;
  async function send() {
    if (isSending) return;
    isSending = true;
    clearTimeout(timer);
    try {
      for (let batch = nextBatch(); batch.length; batch = nextBatch()) {
        showSaved();
        const { results } = await ask('/api/choices', { choices: batch.map((each) => each.choice) });
        for (const [at, { status, problem }] of results.entries()) {
          if (status === 'refused') kept.set('refused/' + batch[at].choice.choice_id, JSON.stringify({ ...batch[at].choice, problem }));
          kept.remove(batch[at].name);
        }
        [wait, isAway, isClosed] = [0, false, false];
      }
    } catch (problem) {
      failed(problem);
      wait = Math.min(wait ? wait * 1.6 : 400, 5000);
      timer = setTimeout(send, wait);
    }
    isSending = false;
    showSaved();
  }
  function failed(problem) {
    isClosed = Boolean(problem.isClosed);
    isAway = !isClosed;
  }
  addEventListener('online', send);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) { send(); refill(); } });
  addEventListener('beforeunload', (event) => { if (memory.size) event.preventDefault(); });

  function showSaved() {
    const waiting = queued().length, refused = kept.names('refused').length;
    const [state, text] = isClosed ? ['closed', `Closed${waiting ? `, ${waiting} kept here` : ''}`]
      : isAway ? ['away', waiting ? `${waiting} waiting` : 'Server away']
      : waiting ? ['waiting', 'Saving…']
      : refused ? ['refused', `${refused} refused`] : ['saved', 'All saved'];
    $('saved').dataset.state = state;
    if ($('saved-text').textContent !== text) $('saved-text').textContent = text;
    $('saved').title = isAway ? 'The server does not answer. Choices are kept here and sent when it does.' : '';
    $('banner').hidden = !isClosed && !refused;
    if (isClosed) $('banner').textContent = 'This page is no longer open at the server. Open the address that hftrain rank prints; what is kept here is sent then.';
    else if (refused) $('banner').textContent = 'The server refused: ' + JSON.parse(kept.get(kept.names('refused')[0])).problem;
  }

  // ---- Where this rater stands.
  let rater = '', tasks = [], total = 0, decided = {}, places = [], lastPlaced = [], tieNext = false, shownAt = 0;
  let past = [], here = new Set(), showsSkipped = false, isAsking = false, asksAgain = false, isKnown = false;
  const task = () => tasks[0];

  async function refill() {
    if (!rater) return;
    if (isAsking) { asksAgain = true; return; }
    isAsking = true;
    const asked = rater, before = changes, isClean = !queued().length;
    try {
      const work = await ask(`/api/work?rater=${encodeURIComponent(asked)}${showsSkipped ? '&skipped=1' : ''}`);
      isAway = isClosed = false;
      if (asked === rater) {
        isKnown = true;
        total = work.total;
        const unsent = queued().filter((each) => each.choice.rater === rater);
        if (isClean && before === changes) decided = work.decided;
        else setTimeout(refill, 800); // it may count without what is on its way: ask again
        const waiting = new Set(unsent.map((each) => each.choice.item));
        const listed = new Set(tasks.map((each) => each.item));
        tasks.push(...work.tasks.filter((each) => !here.has(each.item) && !waiting.has(each.item) && !listed.has(each.item)));
        if (!shownAt) showTask();
        showProgress();
      }
    } catch (problem) {
      if (problem.status === 422) { // no name that the server takes
        rater = '';
        showGate('Please give another name.');
      } else {
        failed(problem);
        if (!shownAt) showTask();
        setTimeout(refill, 1200);
      }
    }
    isAsking = false;
    showSaved();
    if (asksAgain) { asksAgain = false; refill(); }
  }

  function enter(name) {
    rater = name.normalize('NFC').trim();
    kept.set('rater', rater);
    [tasks, past, here, total, decided, shownAt, isKnown, showsSkipped] = [[], [], new Set(), 0, {}, 0, false, false];
    $('who-name').textContent = rater;
    $('face').textContent = [...rater][0].toUpperCase();
    $('who').setAttribute('aria-label', `Rater ${rater}; change`);
    refill();
  }

  function showOnly(id) {
    for (const each of ['desk', 'gate', 'end', 'away']) $(each).hidden = each !== id;
    $('dock').hidden = id !== 'desk';
    $('who').hidden = id === 'gate';
  }

  const decidedCount = () => Object.values(decided).reduce((sum, each) => sum + each, 0);
  function showProgress() {
    const done = decidedCount();
    $('done').textContent = total ? done : '';
    $('of').textContent = total ? ` of ${total}` : '';
    $('skips').textContent = total && decided.skip ? ` · ${decided.skip} skipped` : '';
    $('meter-fill').style.width = `${total ? 100 * done / total : 0}%`;
    $('meter').setAttribute('aria-valuenow', done);
    $('meter').setAttribute('aria-valuemax', total || 1);
    document.title = total ? `${done} of ${total} · Rank the answers` : 'Rank the answers';
  }

  function showTask(given = {}) {
    showProgress();
    if (!task()) {
      shownAt = 0;
      if (isKnown && (showsSkipped || decidedCount() >= total)) {
        showEnd();
      } else { // more is to come: the server is away, or what was asked for is on its way
        showOnly('away');
        setTimeout(refill, 700);
      }
      return;
    }
    places = given.places ? [...given.places] : task().answers.map(() => 0);
    lastPlaced = places.map((place, at) => [place, at]).filter(([place]) => place).sort((a, b) => a[0] - b[0]).map(([, at]) => at);
    tieNext = false;
    $('comment').value = given.comment || '';
    $('turns').replaceChildren(...task().prompt.map((message, at, all) => {
      const turn = make('div', `turn ${message.role}${at === all.length - 1 ? ' last' : ''}`);
      if (all.length > 1) turn.append(make('p', 'role', message.role));
      turn.append(textOf(message.content));
      return turn;
    }));
    $('answers').replaceChildren(...task().answers.map(card));
    $('slots').replaceChildren(...task().answers.map((_, at) => {
      const slot = make('li', 'slot');
      slot.dataset.place = at + 1;
      return slot;
    }));
    showOnly('desk');
    showPlaces();
    shownAt = performance.now();
    scrollTo(0, 0);
    $('prompt-title').focus({ preventScroll: true });
    if (tasks.length < FEW_TASKS) refill();
  }

  function textOf(content) {
    const text = make('div', content.trim() ? 'text' : 'text nothing', content.trim() ? content : content ? 'only spaces' : 'an empty answer');
    text.dir = 'auto';
    return text;
  }

  function card(content, at) {
    const letter = LETTERS[at];
    const answer = make('article', 'answer');
    answer.dataset.answer = at;
    answer.setAttribute('aria-label', `Answer ${letter}`);
    const grip = make('div', 'grip');
    grip.dataset.drag = at;
    grip.append(make('span', 'letter', letter), make('span', 'place-text'), make('span', 'dots'));
    grip.lastChild.setAttribute('aria-hidden', 'true');
    const text = textOf(content);
    const ranks = make('fieldset', 'ranks');
    ranks.append(make('legend', '', `Place of answer ${letter}`));
    for (let place = 1; place <= task().answers.length; place++) {
      const label = make('label');
      const input = make('input');
      input.type = 'radio';
      input.name = `place-${at}`;
      input.value = place;
      input.setAttribute('aria-label', `${nth(place)}${place === 1 ? ', best' : place === task().answers.length ? ', worst' : ''}`);
      input.addEventListener('change', () => put(at, place));
      label.append(input, make('span', '', place));
      ranks.append(label);
    }
    answer.append(grip, text, ranks);
    return answer;
  }

  // ---- Places.
  function put(at, place) {
    places[at] = place;
    lastPlaced = lastPlaced.filter((each) => each !== at);
    if (place) lastPlaced.push(at);
    tieNext = false;
    showPlaces();
    const tied = places.flatMap((each, other) => (place && each === place && other !== at ? [LETTERS[other]] : []));
    say(place ? `${LETTERS[at]} is ${nth(place)}${tied.length ? `, tied with ${tied.join(' and ')}` : ''}` : `${LETTERS[at]} has no place`);
  }

  function showPlaces() {
    places.forEach((place, at) => {
      const answer = $('answers').children[at];
      const tied = place && places.filter((each) => each === place).length > 1;
      answer.classList.toggle('placed', Boolean(place));
      answer.querySelector('.place-text').textContent = place ? nth(place) + (tied ? ' · tie' : '') : '';
      for (const input of answer.querySelectorAll('input')) input.checked = Number(input.value) === place;
    });
    for (const slot of $('slots').children) {
      const place = Number(slot.dataset.place);
      const inside = places.flatMap((each, at) => (each === place ? [at] : []));
      slot.classList.toggle('full', inside.length > 0);
      slot.setAttribute('aria-label', `${nth(place)}: ${inside.map((at) => LETTERS[at]).join(' and ') || 'free'}`);
      slot.replaceChildren(make('span', 'number', place), ...inside.map((at) => {
        const chip = make('span', 'chip', LETTERS[at]);
        chip.dataset.drag = at;
        return chip;
      }));
    }
    const missing = places.flatMap((place, at) => (place ? [] : [LETTERS[at]]));
    $('store').setAttribute('aria-disabled', String(missing.length > 0));
    $('store-text').textContent = missing.length ? `Place ${missing.join(' ')}` : 'Store';
    $('store-why').textContent = missing.length ? `${missing.join(', ')} have no place yet` : '';
  }

  function typed(at) {
    if (places[at]) { put(at, 0); return; }
    const before = lastPlaced.at(-1);
    const used = new Set(places);
    const free = places.findIndex((_, index) => !used.has(index + 1)) + 1;
    put(at, tieNext && before !== undefined ? places[before] : free);
  }

  // ---- Choices.
  function decide(kind) {
    const current = task();
    if (!current || $('desk').hidden) return;
    const isRanked = places.every(Boolean);
    if (kind === 'ranked' && !isRanked) { say($('store-why').textContent); return; }
    const choice = {
      choice_id: newId(), rater, item: current.item, kind, comment: $('comment').value,
      places: kind !== 'skip' && isRanked ? [...places] : null, seconds: Math.round(performance.now() - shownAt) / 1000,
    };
    past.push({ choice, task: current, places: [...places] });
    here.add(current.item);
    tasks.shift();
    if (showsSkipped) decided.skip = Math.max(0, (decided.skip || 0) - 1);
    decided[kind] = (decided[kind] || 0) + 1;
    enqueue(choice);
    say({ ranked: 'Stored.', all_bad: 'Stored: all bad.', skip: 'Skipped.' }[kind]);
    showTask();
  }

  async function undo() {
    let last = past.pop();
    if (!last) {
      try {
        await send();
        const found = (await ask(`/api/last?rater=${encodeURIComponent(rater)}`)).last;
        if (found && !queued().length) last = { choice: { ...found, item: found.task.item }, task: found.task, places: found.places };
      } catch (problem) { failed(problem); showSaved(); }
    }
    if (!last) { say('Nothing to undo.'); return; }
    const { choice } = last;
    here.delete(choice.item);
    tasks = [last.task, ...tasks.filter((each) => each.item !== choice.item)];
    decided[choice.kind] = Math.max(0, (decided[choice.kind] || 0) - 1);
    enqueue({ choice_id: newId(), rater, item: choice.item, kind: 'undo', undoes: choice.choice_id });
    showTask({ places: last.places, comment: choice.comment });
    say('Undone: decide it anew.');
  }

  function showEnd() {
    showOnly('end');
    const skipped = decided.skip || 0;
    $('end-title').textContent = skipped ? 'That was the last one' : 'All done';
    $('end-text').textContent = `${total - skipped} of ${total} prompts are decided. Thank you, ${rater}.` + (skipped ? ` You skipped ${skipped}.` : '');
    $('again').hidden = !skipped;
    $('end-title').focus();
  }

  // ---- Dragging, by mouse, pen or finger.
  let drag = null;
  const slotAt = (event) => document.elementFromPoint(event.clientX, event.clientY)?.closest('.slot');
  document.addEventListener('pointerdown', (event) => {
    const from = event.target.closest('[data-drag]');
    if (!from || event.button) return;
    event.preventDefault();
    from.setPointerCapture(event.pointerId);
    drag = { at: Number(from.dataset.drag), from, id: event.pointerId, x: event.clientX, y: event.clientY, ghost: null };
  });
  document.addEventListener('pointermove', (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    if (!drag.ghost) {
      if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < 6) return;
      drag.ghost = make('div', 'chip ghost', LETTERS[drag.at]);
      document.body.append(drag.ghost);
      document.body.classList.add('dragging');
    }
    drag.ghost.style.transform = `translate(${event.clientX - 20}px, ${event.clientY - 20}px)`;
    const over = slotAt(event);
    for (const slot of $('slots').children) slot.classList.toggle('over', slot === over);
  });
  function drop(event) {
    if (!drag || event.pointerId !== drag.id) return;
    const { at, ghost, from } = drag;
    drag = null;
    document.body.classList.remove('dragging');
    ghost?.remove();
    const slot = event.type === 'pointerup' && ghost ? slotAt(event) : null;
    for (const each of $('slots').children) each.classList.remove('over');
    if (slot) put(at, Number(slot.dataset.place));
    else if (ghost && event.type === 'pointerup' && from.classList.contains('chip')) put(at, 0); // taken off its place
  }
  for (const kind of ['pointerup', 'pointercancel']) document.addEventListener(kind, drop);

  // ---- Keys.
  document.addEventListener('keydown', (event) => {
    const inText = event.target.matches('textarea, input:not([type=radio])');
    if (event.target === $('comment')) {
      if (event.key === 'Escape') { event.preventDefault(); $('answers').focus(); }
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); decide('ranked'); }
    }
    if (inText || event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector('dialog[open]')) return;
    if (event.key === 'Enter') {
      if (!event.target.matches('button, a') && !$('desk').hidden) { event.preventDefault(); decide('ranked'); }
      return;
    }
    if (event.key === 'Escape') { $('answers').focus(); return; }
    if (kept.get('letters') === 'off') return;
    const does = keyed(event);
    if (does) { event.preventDefault(); does(); }
  });
  function keyed(event) {
    const key = event.key.toLowerCase();
    if (key === '?') return () => $('help').showModal();
    if (key === 'u' && !$('end').hidden) return undo;
    if ($('desk').hidden) return null;
    const letter = key.length === 1 ? LETTERS.toLowerCase().indexOf(key) : -1;
    if (letter >= 0 && letter < places.length) return () => typed(letter);
    const inside = event.target.closest('.answer');
    if (inside && Number(key) >= 1 && Number(key) <= places.length) return () => {
      put(Number(inside.dataset.answer), Number(key));
      inside.querySelector('input:checked').focus(); // so that Tab goes on to the next answer
    };
    return {
      '=': () => { tieNext = lastPlaced.length > 0; say('The next letter ties.'); },
      backspace: () => { if (lastPlaced.length) put(lastPlaced.at(-1), 0); },
      0: () => decide('all_bad'),
      s: () => decide('skip'),
      u: undo,
      '/': () => $('comment').focus(),
    }[key] || null;
  }

  // ---- Team and other buttons.
  async function showTeam() {
    const body = $('team-body');
    body.replaceChildren(make('p', 'quiet', 'Counting…'));
    $('team').showModal();
    try {
      await send();
      const team = await ask('/api/team');
      const two = (value) => value.toFixed(2).replace('-', '−');
      const names = Object.entries(team.raters);
      const table = make('table', 'scores');
      const row = (tag, cells) => { const line = make('tr'); line.append(...cells.map((each) => make(tag, '', each))); return line; };
      table.append(row('th', ['Rater', 'ranked', 'all bad', 'skipped']), ...names.map(([name, each]) => row('td', [name, each.ranked, each.all_bad, each.skip])));
      const alpha = team.alpha === null ? [make('p', 'quiet', 'How far raters agree shows once two of them have ranked the same prompt.')] : [
        make('p', 'quiet', 'Agreement between raters (Krippendorff’s alpha)'),
        make('p', 'alpha', two(team.alpha)),
        make('p', 'quiet', (team.alpha_interval ? `95 % interval ${two(team.alpha_interval[0])} to ${two(team.alpha_interval[1])}, ` : '')
          + `from ${team.shared_prompts} prompt${team.shared_prompts === 1 ? '' : 's'} that two or more ranked. 1 is full agreement, 0 is chance.`),
      ];
      body.replaceChildren(...alpha, ...(names.length ? [table] : []));
    } catch (problem) {
      failed(problem);
      showSaved();
      body.replaceChildren(make('p', 'quiet', 'The server does not answer now.'));
    }
  }
  async function showGate(complaint) {
    showOnly('gate');
    $('complaint').textContent = typeof complaint === 'string' ? complaint : '';
    $('name').value = kept.get('rater') || settings.rater;
    $('name').focus();
    try {
      const { raters } = await ask('/api/raters');
      $('known').hidden = !raters.length;
      $('names').replaceChildren(...raters.map((name) => {
        const button = make('button', 'quiet-button', name);
        button.type = 'button';
        button.addEventListener('click', () => enter(name));
        return button;
      }));
    } catch (problem) { failed(problem); showSaved(); }
  }
  $('name-form').addEventListener('submit', (event) => {
    event.preventDefault();
    if ($('name').value.trim()) enter($('name').value);
  });
  $('store').addEventListener('click', () => decide('ranked'));
  $('all-bad').addEventListener('click', () => decide('all_bad'));
  $('skip').addEventListener('click', () => decide('skip'));
  $('undo').addEventListener('click', undo);
  $('end-undo').addEventListener('click', undo);
  $('again').addEventListener('click', () => { [showsSkipped, here, shownAt] = [true, new Set(), 0]; refill(); });
  $('who').addEventListener('click', showGate);
  $('open-team').addEventListener('click', showTeam);
  $('open-help').addEventListener('click', () => $('help').showModal());
  $('letters').checked = kept.get('letters') !== 'off';
  $('letters').addEventListener('change', () => kept.set('letters', $('letters').checked ? 'on' : 'off'));

  send();
  const known = settings.rater || kept.get('rater');
  if (known) enter(known); else showGate();
})();
