// Scenes of jsforce. `connection` is what its Connection takes; POLL_MS is the pause between its looks at a job.

import { createRequire } from "node:module";
import { join } from "node:path";
import { play } from "./play.mjs";

const jsforce = createRequire(join(process.env.CLIENT_FOLDER, "package.json"))("jsforce");
const POLL_MS = 20;

function connected({ connection }) {
  const made = new jsforce.Connection(connection);
  made.bulk.pollInterval = made.bulk2.pollInterval = POLL_MS;
  return made;
}

async function rowsOf(conn) {
  return (await conn.query("SELECT Id FROM Organization")).totalSize;
}

play({
  async logged_in(told) {
    const conn = connected(told);
    const user = await conn.login(told.username, told.password);
    return { user, instance: conn.instanceUrl, rows: await rowsOf(conn), usage: conn.limitInfo.apiUsage };
  },

  async authorized(told) {
    const conn = connected(told);
    const user = await conn.authorize(told.grant);
    return { user, instance: conn.instanceUrl, rows: await rowsOf(conn), identity: await conn.identity() };
  },

  async consented(told) {
    const conn = connected(told);
    const sent = await fetch(conn.oauth2.getAuthorizationUrl({ scope: "api refresh_token", state: "a b" }), { redirect: "manual" });
    const back = new URL(sent.headers.get("location"));
    await conn.authorize(back.searchParams.get("code"));
    const first = conn.accessToken;
    conn.accessToken = "00D!ended";
    return { state: back.searchParams.get("state"), rows: await rowsOf(conn), is_renewed: conn.accessToken !== first };
  },

  async logged_out(told) {
    const conn = connected(told);
    await conn.login(told.username, told.password);
    const token = conn.accessToken;
    await conn.logout();
    return rowsOf(new jsforce.Connection({ instanceUrl: told.instance, accessToken: token }));
  },

  async renewed(told) {
    const conn = connected(told);
    const before = conn.accessToken;
    const rows = await rowsOf(conn);
    return { rows, is_new: conn.accessToken !== before };
  },

  async query(told) {
    const result = await connected(told).query(told.soql, told.options);
    return { ...result, records: result.records };
  },

  async query_events(told) {
    const seen = [];
    await new Promise((resolve, reject) => {
      connected(told)
        .query(told.soql)
        .on("record", (record) => seen.push(record.Id))
        .on("end", resolve)
        .on("error", reject)
        .run({ autoFetch: true, maxFetch: told.maxFetch ?? 10_000 });
    });
    return seen;
  },

  async query_more(told) {
    const conn = connected(told);
    const first = await conn.query(told.soql);
    const second = await conn.queryMore(first.nextRecordsUrl);
    return { url: first.nextRecordsUrl, first: first.records, second: second.records, done: second.done };
  },

  find: (told) => connected(told).sobject(told.sobject).find(told.conditions, told.fields).sort({ Name: -1 }).limit(told.limit),
  count: (told) => connected(told).sobject(told.sobject).count(told.conditions),

  async record_life(told) {
    const kind = connected(told).sobject(told.sobject);
    const created = await kind.create(told.first);
    const before = await kind.retrieve(created.id);
    const changed = await kind.update({ Id: created.id, ...told.second });
    const after = await kind.retrieve(created.id);
    const deleted = await kind.destroy(created.id);
    return { created, before, changed, after, deleted };
  },

  create: (told) => connected(told).sobject(told.sobject).create(told.records, told.options),
  retrieve: (told) => connected(told).sobject(told.sobject).retrieve(told.ids),
  update: (told) => connected(told).sobject(told.sobject).update(told.records, told.options),
  upsert: (told) => connected(told).sobject(told.sobject).upsert(told.records, told.key, told.options),
  destroy: (told) => connected(told).sobject(told.sobject).destroy(told.ids, told.options),
  update_where: (told) => connected(told).sobject(told.sobject).find(told.conditions).update(told.changes, told.options),

  async described(told) {
    const conn = connected(told);
    return { every: await conn.describeGlobal(), one: await conn.describe(told.sobject) };
  },

  async changes(told) {
    const kind = connected(told).sobject(told.sobject);
    return { deleted: await kind.deleted(told.start, told.end), updated: await kind.updated(told.start, told.end) };
  },

  limits: (told) => connected(told).limits(),
  search: (told) => connected(told).search(told.sosl),
  tooling: (told) => connected(told).tooling.query(told.soql),

  bulk: (told) => connected(told).bulk.load(told.sobject, told.operation, told.options ?? {}, told.records),
  bulk_query: async (told) => (await connected(told).bulk.query(told.soql)).toArray(),

  bulk2: (told) =>
    connected(told).bulk2.loadAndWaitForResults({
      object: told.sobject,
      operation: told.operation,
      input: told.records,
      ...told.options,
    }),

  async bulk2_steps(told) {
    const job = connected(told).bulk2.createJob({ operation: "insert", object: told.sobject });
    const opened = await job.open();
    await job.uploadData(told.text);
    await job.close();
    await job.poll(POLL_MS, 30_000);
    const info = await job.check();
    const raw = await job.getSuccessfulResults(true);
    await job.delete();
    return { opened, info, raw };
  },

  async bulk2_aborted(told) {
    const job = connected(told).bulk2.createJob({ operation: "insert", object: told.sobject });
    await job.open();
    await job.abort();
    return job.check();
  },

  bulk2_query: async (told) => (await connected(told).bulk2.query(told.soql, { pollInterval: POLL_MS, ...told.options })).toArray(),
});
