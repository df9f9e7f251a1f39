// The same day with version 4 of the JavaScript SDK, unmodified. Its client has no base address, so its own hook for
// `fetch` leads the requests to the venue.
import { Alpaca } from "@alpacahq/alpaca-trade-api";

const base = process.env.APCA_API_BASE_URL;
const fetchApi = (url, init) => fetch(String(url).replace("https://paper-api.alpaca.markets", base), init);
const { trading } = new Alpaca({ fetchApi });
const { orders } = trading;
const updates = [];
const tell = (step, seen) => console.log(JSON.stringify({ step, ...seen }));
const refused = (call) =>
  call.then(
    () => ({ status: 200 }),
    (error) => ({ status: error.status, code: error.code, message: error.message }),
  );

async function until(isTrue) {
  for (const began = Date.now(); Date.now() - began < 30000; await new Promise((wake) => setTimeout(wake, 10))) {
    if (await isTrue()) return;
  }
  throw new Error(`waited in vain; updates so far: ${JSON.stringify(updates)}`);
}
const heard = (order, event) => until(() => updates.some((u) => u.order.id === order.id && u.event === event));
const ko = (more) => ({ symbol: "KO", side: "buy", ...more });

const stream = trading.stream({ url: base.replace("http", "ws") + "/stream" });
function listen() {
  return new Promise((listening, failed) => {
    stream.onTradeUpdate((update) => updates.push(update));
    stream.onError(failed);
    stream.on("subscription", listening);
    stream.subscribeTradeUpdates();
    stream.connect();
  });
}

async function look() {
  const check = await trading.validateConnection();
  const account = check.account;
  tell("account", { status: account.status, cash: account.cash, multiplier: account.multiplier });
  const settings = await trading.accountConfigurations.getAccountConfig();
  tell("configurations", { no_shorting: settings.noShorting });
  tell("clock", { is_open: (await trading.clock.legacyClock()).isOpen });
  const days = await trading.calendar.legacyCalendar({ start: new Date("2026-11-23"), end: new Date("2026-11-29") });
  const day = (date) => (date instanceof Date ? date.toISOString().slice(0, 10) : date);
  tell("calendar", { days: days.map((row) => [day(row.date), row.open, row.close]) });
  const assets = await trading.assets.getV2Assets({ status: "active" });
  tell("assets", { has_ko: assets.some((asset) => asset.symbol === "KO") });
  const asset = await trading.assets.getV2AssetsSymbolOrAssetId({ symbolOrAssetId: "KO" });
  tell("asset", { symbol: asset.symbol, tradable: asset.tradable, fractionable: asset.fractionable });
  tell("no such asset", await refused(trading.assets.getV2AssetsSymbolOrAssetId({ symbolOrAssetId: "NOPE" })));
}

async function trade() {
  const bought = await orders.market(ko({ qty: 3, clientOrderId: "market" }));
  tell("market", { status: bought.status, qty: bought.qty, client_order_id: bought.clientOrderId });
  await heard(bought, "fill");
  const filled = await orders.getOrderByClientOrderId({ clientOrderId: "market" });
  tell("by client id", { same: filled.id === bought.id, status: filled.status, filled_qty: filled.filledQty, price: filled.filledAvgPrice });
  tell("duplicate", await refused(orders.market(ko({ qty: 3, clientOrderId: "market" }))));
  tell("cancel of a filled one", await refused(orders.deleteOrderByOrderID({ orderId: bought.id })));
  const part = await orders.market(ko({ notional: 50, clientOrderId: "notional" }));
  await heard(part, "fill");
  const rest = await orders.getOrderByOrderID({ orderId: part.id });
  tell("notional", { qty: rest.qty ?? null, notional: rest.notional, filled_qty: rest.filledQty });
}

async function change() {
  const limit = await orders.limit(ko({ qty: 2, limitPrice: 80.5, clientOrderId: "limit" }));
  await heard(limit, "new");
  const open = await orders.getAllOrders({ status: "open", nested: true });
  tell("open", { client_order_ids: open.map((order) => order.clientOrderId) });
  const patch = { qty: "4", limitPrice: "81", clientOrderId: "heir" };
  const heir = await orders.patchOrderByOrderId({ orderId: limit.id, patchOrderRequest: patch });
  tell("replace", { is_other: heir.id !== limit.id, replaces: heir.replaces === limit.id, qty: heir.qty, limit_price: heir.limitPrice });
  await heard(limit, "replaced");
  await heard(heir, "new");
  await orders.deleteOrderByOrderID({ orderId: heir.id });
  await heard(heir, "canceled");
  const [after, elder] = [await orders.getOrderByOrderID({ orderId: heir.id }), await orders.getOrderByOrderID({ orderId: limit.id })];
  tell("cancel", { status: after.status, elder: elder.status });
  const bracket = await orders.bracket(
    ko({ qty: 1, type: "limit", limitPrice: 80, takeProfit: { limitPrice: 90 }, stopLoss: { stopPrice: 70 } }),
  );
  tell("bracket", { legs: bracket.legs.map((leg) => [leg.type, leg.side, leg.status]) });
  await heard(bracket, "new");
  const all = await orders.deleteAllOrders();
  tell("cancel all", { statuses: [...new Set(all.map((entry) => entry.status))] });
  await heard(bracket, "canceled");
  tell("none open", { count: (await orders.getAllOrders({ status: "open" })).length });
}

async function leave() {
  const position = await trading.positions.getOpenPosition({ symbolOrAssetId: "KO" });
  tell("position", { qty: position.qty, side: position.side });
  tell("positions", { symbols: (await trading.positions.getAllOpenPositions()).map((one) => one.symbol) });
  tell("no such position", await refused(trading.positions.getOpenPosition({ symbolOrAssetId: "F" })));
  const sold = await trading.positions.deleteOpenPosition({ symbolOrAssetId: "KO" });
  await heard(sold, "fill");
  tell("flat", { count: (await trading.positions.getAllOpenPositions()).length });
  const rows = await trading.collectActivities({ activityTypes: ["FILL"], direction: "asc" });
  tell("activities", { rows: rows.map((row) => [row.activityType, row.side, row.qty]) });
  const pages = await trading.collectActivitiesByType({ activityType: "FILL", direction: "asc", pageSize: 2 });
  tell("pages of activities", { sizes: [2, pages.length - 2], same: pages.every((row, n) => row.id === rows[n].id) });
  const events = updates.filter((update) => update.order.clientOrderId === "market").map((update) => update.event);
  tell("stream", { events });
  const nobody = new Alpaca({ fetchApi, keyId: "nobody", secret: "nothing" });
  tell("wrong key", await refused(nobody.trading.account.getAccount()));
}

try {
  await listen();
  await look();
  await trade();
  await change();
  await leave();
  stream.disconnect();
  process.exit(0); // timers of its requests would keep the program for half a minute
} catch (error) {
  console.error(error);
  process.exit(1);
}
