// Answers on their way: each is on this browser's disk before it is sent, and leaves it once the server has it on its own.

const NAME = "preferably";
const STORE = "answers";

let opened = null; // a promise of the database; null until somebody asks
const memory = new Map(); // where this browser keeps nothing

function open() {
  opened ??= new Promise((resolve) => {
    let request;
    try {
      request = indexedDB.open(NAME, 1);
    } catch {
      resolve(null);
      return;
    }
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(null);
    request.onblocked = () => resolve(null);
  });
  return opened;
}

async function run(mode, work) {
  const base = await open();
  if (!base) throw new Error("this browser keeps nothing");
  return new Promise((resolve, reject) => {
    const transaction = base.transaction(STORE, mode, { durability: "strict" });
    const request = work(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });
}

// Keep a letter: {id, person, turn, body, at, refused}. Resolves to whether it survives this page.
export async function keep(letter) {
  try {
    await run("readwrite", (store) => store.put(letter));
    memory.delete(letter.id);
    return true;
  } catch {
    memory.set(letter.id, letter);
    return false;
  }
}

export async function drop(id) {
  memory.delete(id);
  try {
    await run("readwrite", (store) => store.delete(id));
  } catch {
    // It was in memory alone.
  }
}

// The letters of one person, the oldest first; nobody else's are ever read.
export async function lettersOf(person) {
  let kept = [];
  try {
    kept = await run("readonly", (store) => store.getAll());
  } catch {
    // Those in memory are all there are.
  }
  return [...kept, ...memory.values()].filter((one) => one.person === person).sort((one, other) => one.at - other.at);
}

export function isOnlyInMemory() {
  return memory.size > 0;
}
