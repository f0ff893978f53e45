// @platformatic/kafka behind the command line of ../README.md; it is run with the classic protocol. The library is looked
// for in the folder that NODE_PATH names.
const { Admin, Consumer, MessagesStreamFallbackModes, MessagesStreamModes, ProduceAcks, Producer } =
  require('@platformatic/kafka');

const HEARTBEAT_MS = 600;
const options = { protocol: 'classic' };
for (let i = 3; i + 1 < process.argv.length; i += 2) options[process.argv[i].slice(2)] = process.argv[i + 1];

let stopping = false;
const stopped = new Promise((resolve) => {
  process.stdin.on('end', () => { stopping = true; resolve(); });
  process.stdin.resume();
});
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function say(event, rest) {
  const at = Math.floor((performance.timeOrigin + performance.now()) * 1000);
  process.stdout.write(`${JSON.stringify({ at, event, ...rest })}\n`);
}

function expect(call, held, got) {
  if (!held) throw new Error(`${call}: got ${JSON.stringify(got, (_, one) => (typeof one === 'bigint' ? String(one) : one))}`);
  say('passed', { call });
}

async function until(call, question) {
  for (let i = 0; i < 100 && !(await question()); i++) await sleep(50);
  expect(call, await question(), 'nothing for five seconds');
}

const settings = {
  clientId: options.id || 'platformatic',
  bootstrapBrokers: [options.bootstrap],
  retries: true,
  retryDelay: 100,
  metadataMaxAge: 1000,
};

// One member of a group. It gives everything back before it joins again.
class Member {
  constructor() {
    this.owned = [];
    this.pending = new Map();
    this.consumer = new Consumer({
      ...settings,
      groupId: options.group,
      autocommit: false,
      sessionTimeout: Number(options['session-ms']),
      rebalanceTimeout: Math.max(10000, Number(options['session-ms'])),
      heartbeatInterval: HEARTBEAT_MS,
      maxWaitTime: 100,
    });
    this.consumer.on('consumer:group:rebalance', () => this.release());
    this.consumer.on('consumer:group:join', ({ assignments }) => {
      this.release();
      const mine = (assignments || []).find((one) => one.topic === options.topic);
      this.owned = [...(mine ? mine.partitions : [])].sort((a, b) => a - b);
      say('assigned', { partitions: this.owned });
    });
  }

  release() {
    this.commit();
    if (this.owned.length) say('revoked', { partitions: this.owned });
    this.owned = [];
  }

  async run() {
    const stream = await this.consumer.consume({
      topics: [options.topic],
      mode: MessagesStreamModes.COMMITTED,
      fallbackMode: MessagesStreamFallbackModes.EARLIEST,
    });
    stream.on('data', (message) => this.handOut(message));
    const broken = new Promise((_, reject) => stream.on('error', reject));
    broken.catch(() => {});
    while (!stopping) {
      await Promise.race([sleep(50), broken]);
      await this.commit();
    }
    await this.commit();
    this.release();
    await this.consumer.close(true);
  }

  handOut({ partition, offset }) {
    say('records', { partition, offsets: [Number(offset)] });
    this.pending.set(partition, offset + 1n);
  }

  async commit() {
    if (!this.pending.size) return;
    const some = [...this.pending];
    this.pending.clear();
    const offsets = some.map(([partition, offset]) => ({ topic: options.topic, partition, offset, leaderEpoch: -1 }));
    try {
      await this.consumer.commit({ offsets });
      say('committed', { offsets: Object.fromEntries(some.map(([partition, offset]) => [partition, Number(offset)])) });
    } catch (why) {
      say('uncommitted', { why: String(why) });
    }
  }
}

// A stream that has met an error is no more: the application starts another one.
async function member() {
  for (;;) {
    const one = new Member();
    try {
      await one.run();
      return;
    } catch (why) {
      say('uncommitted', { why: String(why) });
      one.release();
      await one.consumer.close(true).catch(() => {});
      if (stopping) return;
      await sleep(200);
    }
  }
}

async function produce() {
  const producer = new Producer({ ...settings, acks: ProduceAcks.ALL, compression: options.codec || 'none' });
  const partitions = Number(options.partitions);
  const burst = Math.floor(Number(options.rate) / 20);
  let sent = 0;
  while (!stopping) {
    const messages = [];
    for (let i = 0; i < burst; i++, sent++) {
      messages.push({ topic: options.topic, partition: sent % partitions, value: Buffer.from(String(sent)) });
    }
    await producer.send({ messages });
    await sleep(50);
  }
  await producer.close();
}

async function admin() {
  const topic = `${options.prefix}-topic`;
  const client = new Admin(settings);
  await adminTopics(client, topic);
  await adminGroups(client, topic, `${options.prefix}-group`);
  await client.deleteTopics({ topics: [topic] });
  await until('delete topics', async () => !(await client.listTopics()).includes(topic));
  await client.close();
}

async function adminTopics(client, topic) {
  const wanted = { topics: [topic], partitions: 3, replicas: 1, configs: [{ name: 'retention.ms', value: '86400000' }] };
  const made = await client.createTopics(wanted);
  expect('create topics', made.length === 1 && made[0].name === topic && made[0].partitions === 3, made);
  await until('list topics', async () => (await client.listTopics()).includes(topic));
  let refused;
  try { await client.createTopics({ ...wanted, retries: false }); } catch (why) { refused = why; }
  expect('create a topic twice', refused && refused.findBy('apiId', 'TOPIC_ALREADY_EXISTS'), String(refused));
}

async function adminGroups(client, topic, groupId) {
  const producer = new Producer(settings);
  const messages = [...Array(10).keys()].map((i) => ({ topic, partition: 0, value: Buffer.from(String(i)) }));
  await producer.send({ messages });
  await producer.close();
  const consumer = new Consumer({ ...settings, groupId, autocommit: false });
  consumer.topics.track(topic);
  await consumer.joinGroup({});
  const described = (await client.describeGroups({ groups: [groupId] })).get(groupId);
  expect('describe a group', described.state === 'STABLE' && described.members.size === 1, described);
  const listed = await client.listGroups({ types: ['classic'] });
  expect('list groups', listed.has(groupId), [...listed.keys()]);
  await consumer.commit({ offsets: [{ topic, partition: 0, offset: 7n, leaderEpoch: -1 }] });
  const found = await consumer.listCommittedOffsets({ topics: [{ topic, partitions: [0] }] });
  expect('commit and list offsets', found.get(topic)[0] === 7n, [...found]);
  const ends = await consumer.listOffsets({ topics: [topic], partitions: { [topic]: [0] } });
  expect('list offsets', ends.get(topic)[0] === 10n, [...ends]);
  await consumer.leaveGroup();
  await consumer.close();
  await client.deleteGroups({ groups: [groupId] });
  await until('delete groups', async () => !(await client.listGroups({ types: ['classic'] })).has(groupId));
}

({ member, produce, admin })[process.argv[2]]().then(() => process.exit(0), (why) => {
  process.stderr.write(`${why.stack}\n`);
  say('failed', { why: String(why) });
  process.exit(1);
});
