// A day with version 3 of the JavaScript SDK, unmodified: prints what each step saw, a JSON object a line.
// APCA_API_BASE_URL, APCA_API_KEY_ID and APCA_API_SECRET_KEY say where and as whom.
const Alpaca = require("@alpacahq/alpaca-trade-api");

const alpaca = new Alpaca({ paper: true });
const updates = [];
const tell = (step, seen) => console.log(JSON.stringify({ step, ...seen }));
const refused = (call) =>
  call.then(
    () => ({ status: 200 }),
    (error) => ({ status: error.response.status, code: error.response.data.code, message: error.response.data.message }),
  );

async function until(isTrue) {
  for (const began = Date.now(); Date.now() - began < 30000; await new Promise((wake) => setTimeout(wake, 10))) {
    if (await isTrue()) return;
  }
  throw new Error(`waited in vain; updates so far: ${JSON.stringify(updates)}`);
}
const heard = (order, event) => until(() => updates.some((u) => u.order.id === order.id && u.event === event));
const ko = (more) => ({ symbol: "KO", side: "buy", type: "market", time_in_force: "day", ...more });

function listen() {
  return new Promise((listening, failed) => {
    const stream = alpaca.trade_ws;
    stream.onConnect(() => stream.subscribe(["trade_updates"]));
    stream.onError(failed);
    stream.onOrderUpdate((update) => updates.push(update));
    stream.on("state_change", (state) => state === "connected" && setTimeout(listening, 200));
    stream.connect();
  });
}

async function look() {
  const account = await alpaca.getAccount();
  tell("account", { status: account.status, cash: account.cash, multiplier: account.multiplier });
  const settings = await alpaca.getAccountConfigurations();
  tell("configurations", { no_shorting: settings.no_shorting });
  tell("clock", { is_open: (await alpaca.getClock()).is_open });
  const days = await alpaca.getCalendar({ start: "2026-11-23", end: "2026-11-29" });
  tell("calendar", { days: days.map((day) => [day.date, day.open, day.close]) });
  tell("assets", { has_ko: (await alpaca.getAssets({ status: "active" })).some((asset) => asset.symbol === "KO") });
  const asset = await alpaca.getAsset("KO");
  tell("asset", { symbol: asset.symbol, tradable: asset.tradable, fractionable: asset.fractionable });
  tell("no such asset", await refused(alpaca.getAsset("NOPE")));
}

async function trade() {
  const bought = await alpaca.createOrder(ko({ qty: 3, client_order_id: "market" }));
  tell("market", { status: bought.status, qty: bought.qty, client_order_id: bought.client_order_id });
  await heard(bought, "fill");
  const filled = await alpaca.getOrderByClientId("market");
  tell("by client id", { same: filled.id === bought.id, status: filled.status, filled_qty: filled.filled_qty, price: filled.filled_avg_price });
  tell("duplicate", await refused(alpaca.createOrder(ko({ qty: 3, client_order_id: "market" }))));
  tell("cancel of a filled one", await refused(alpaca.cancelOrder(bought.id)));
  const part = await alpaca.createOrder(ko({ notional: 50, client_order_id: "notional" }));
  await heard(part, "fill");
  const rest = await alpaca.getOrder(part.id);
  tell("notional", { qty: rest.qty, notional: rest.notional, filled_qty: rest.filled_qty });
}

async function change() {
  const limit = await alpaca.createOrder(ko({ qty: 2, type: "limit", limit_price: 80.5, client_order_id: "limit" }));
  await heard(limit, "new");
  const open = await alpaca.getOrders({ status: "open", nested: true });
  tell("open", { client_order_ids: open.map((order) => order.client_order_id) });
  const heir = await alpaca.replaceOrder(limit.id, { qty: 4, limit_price: 81, client_order_id: "heir" });
  tell("replace", { is_other: heir.id !== limit.id, replaces: heir.replaces === limit.id, qty: heir.qty, limit_price: heir.limit_price });
  await heard(limit, "replaced");
  await heard(heir, "new");
  await alpaca.cancelOrder(heir.id);
  await heard(heir, "canceled");
  tell("cancel", { status: (await alpaca.getOrder(heir.id)).status, elder: (await alpaca.getOrder(limit.id)).status });
  const bracket = await alpaca.createOrder(
    ko({ qty: 1, type: "limit", limit_price: 80, order_class: "bracket", take_profit: { limit_price: 90 }, stop_loss: { stop_price: 70 } }),
  );
  tell("bracket", { legs: bracket.legs.map((leg) => [leg.type, leg.side, leg.status]) });
  await heard(bracket, "new");
  const all = await alpaca.cancelAllOrders();
  tell("cancel all", { statuses: [...new Set(all.map((entry) => entry.status))] });
  await heard(bracket, "canceled");
  tell("none open", { count: (await alpaca.getOrders({ status: "open" })).length });
}

async function leave() {
  const position = await alpaca.getPosition("KO");
  tell("position", { qty: position.qty, side: position.side });
  tell("positions", { symbols: (await alpaca.getPositions()).map((one) => one.symbol) });
  tell("no such position", await refused(alpaca.getPosition("F")));
  const sold = await alpaca.closePosition("KO");
  await heard(sold, "fill");
  tell("flat", { count: (await alpaca.getPositions()).length });
  const rows = await alpaca.getAccountActivities({ activityTypes: "FILL", direction: "asc" });
  tell("activities", { rows: rows.map((row) => [row.activity_type, row.side, row.qty]) });
  const first = await alpaca.getAccountActivities({ activityTypes: "FILL", direction: "asc", pageSize: 2 });
  const next = await alpaca.getAccountActivities({ activityTypes: "FILL", direction: "asc", pageSize: 2, pageToken: first[1].id });
  tell("pages of activities", { sizes: [first.length, next.length], same: first.concat(next).every((row, n) => row.id === rows[n].id) });
  const events = updates.filter((update) => update.order.client_order_id === "market").map((update) => update.event);
  tell("stream", { events });
  tell("wrong key", await refused(new Alpaca({ paper: true, keyId: "nobody", secretKey: "nothing" }).getAccount()));
}

(async () => {
  await listen();
  await look();
  await trade();
  await change();
  await leave();
  process.exit(0);
})().catch((error) => {
  console.error(error.response ? error.response.data : error);
  process.exit(1);
});
