// One attempt to bring a letter to the server, and what came of it.

const PATIENCE = 20_000; // milliseconds after which an attempt is over
const REFUSALS = new Set([400, 404, 409, 413, 422]); // sending the same again would bring the same

// {state: "saved", receipt} | {state: "refused", status, message} | {state: "shut", status, message} | {state: "later", wait}
export async function deliver(letter, token) {
  let response;
  try {
    response = await fetch(`/answers/${encodeURIComponent(letter.turn)}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-Token": token },
      body: JSON.stringify(letter.body),
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    return { state: "later", wait: 0 };
  }
  let told = null;
  try {
    told = await response.json();
  } catch {
    // Whatever answered that was not the app: a proxy, a hotel's network.
  }
  // Only the app's own receipt for this very answer counts.
  if (response.status === 200 && told?.saved === letter.body.id) return { state: "saved", receipt: told };
  const message = typeof told?.error === "string" ? told.error : "";
  if (message && REFUSALS.has(response.status)) return { state: "refused", status: response.status, message };
  if (message && (response.status === 401 || response.status === 403)) {
    return { state: "shut", status: response.status, message };
  }
  return { state: "later", wait: 1000 * (Number(response.headers.get("Retry-After")) || 0) };
}
