import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import t from 'tap'
import { createDashboard, OWN } from '../helpers/dashboard'
import { latch } from '../helpers/latch'

const ID = '00000000-0000-4000-8000-000000000000'
const READS = ['', 'page.js', 'page.css', 'icon.svg', 'feed', 'runs?list=running', `runs/${ID}`]
const CHANGES = [`runs/${ID}/cancel`, `runs/${ID}/retry`]

const onlyAda = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
  if (request.headers.authorization !== 'ada') return await reply.code(401).send({ message: 'who are you?' })
}

for (const name of ['onRequest', 'preValidation', 'preHandler'] as const) {
  t.test(`${name} stands before every route`, async (t) => {
    const app = await createDashboard(t, { dashboard: { [name]: onlyAda } })
    for (const path of READS) t.equal((await app.inject(`/background/${path}`)).statusCode, 401, path)
    for (const path of CHANGES) {
      t.equal((await app.inject({ method: 'POST', url: `/background/${path}`, headers: OWN, payload: '{}' })).statusCode, 401, path)
    }
    t.equal((await app.inject({ url: '/background/', headers: { authorization: 'ada' } })).statusCode, 200)
    t.equal((await app.inject({ url: '/background/runs?list=failed', headers: { authorization: 'ada' } })).statusCode, 200)
  })
}

t.test('a change without a session is refused by the hook even where the origin is right', async (t) => {
  const app = await createDashboard(t, { dashboard: { onRequest: onlyAda } })
  const headers = { ...OWN, 'sec-fetch-site': 'same-origin' }
  t.equal((await app.inject({ method: 'POST', url: `/background/${CHANGES[0]}`, headers, payload: '{}' })).statusCode, 401)
})

/** What a POST that would cancel a task comes to, and whether it did. */
async function forge (app: FastifyInstance, headers: Record<string, string>, payload = '{}'): Promise<[status: number, state: string]> {
  const never = latch()
  const run = app.background.addTask(async () => { await never })
  const { statusCode } = await app.inject({ method: 'POST', url: `/background/runs/${run.id}/cancel`, headers, payload })
  const { state } = run
  never.open()
  run.cancel()
  return [statusCode, state === 'queued' ? 'active' : state]
}

t.test('a change that another site can send is refused', async (t) => {
  const app = await createDashboard(t)
  const { 'x-background-dashboard': own, 'content-type': json } = OWN
  const forged: Array<[what: string, headers: Record<string, string>]> = [
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a form of plain text', { 'content-type': 'text/plain' }],
    ['without the header', { 'content-type': json }],
    ['with another value of it', { 'content-type': json, 'x-background-dashboard': '0' }],
    ['without a type', { 'x-background-dashboard': own }],
    ['a type that only begins so', { ...OWN, 'content-type': 'application/json-seq' }],
    ['from another site', { ...OWN, 'sec-fetch-site': 'cross-site' }],
    ['from another host of the site', { ...OWN, 'sec-fetch-site': 'same-site' }],
    ['from nowhere', { ...OWN, 'sec-fetch-site': 'none' }],
    ['from another origin', { ...OWN, origin: 'https://evil.example' }],
    ['from another port', { ...OWN, origin: 'http://localhost:81' }],
    ['from an opaque origin', { ...OWN, origin: 'null' }]
  ]
  for (const [what, headers] of forged) {
    const payload = headers['content-type'] === undefined ? '' : '{}'
    t.strictSame(await forge(app, headers, payload), [403, 'active'], what)
  }
  const { code } = (await app.inject({ method: 'POST', url: `/background/${CHANGES[1]}`, headers: { 'content-type': json }, payload: '{}' })).json()
  t.equal(code, 'FST_ERR_BACKGROUND_CROSS_SITE')
})

t.test('a change from the page itself is let pass', async (t) => {
  const app = await createDashboard(t)
  const own = [
    OWN,
    { ...OWN, 'content-type': 'Application/JSON; charset=utf-8' },
    { ...OWN, 'sec-fetch-site': 'same-origin', origin: 'https://rewritten.example' },
    { ...OWN, origin: 'http://localhost:80', host: 'LOCALHOST' },
    { ...OWN, origin: 'http://tasks.example:8080', host: 'tasks.example:8080' }
  ]
  for (const headers of own) t.strictSame(await forge(app, headers), [200, 'cancelled'])
})

t.test('a change needs no parser of the application', async (t) => {
  const parsers: Array<(app: FastifyInstance) => void> = [
    (app) => app.removeAllContentTypeParsers(),
    (app) => app.addContentTypeParser('application/json', (_request, _payload, done) => done(new Error('no')))
  ]
  for (const before of parsers) {
    const app = await createDashboard(t, {
      before (app) {
        before(app)
        app.post('/', async () => ({}))
      }
    })
    t.strictSame(await forge(app, OWN), [200, 'cancelled'])
    t.not((await app.inject({ method: 'POST', url: '/', headers: OWN, payload: '{}' })).statusCode, 200, 'elsewhere it is as it was')
  }
})

t.test('nothing is changed by a GET', async (t) => {
  const app = await createDashboard(t)
  for (const path of CHANGES) t.equal((await app.inject({ url: `/background/${path}`, headers: OWN })).statusCode, 404)
})
