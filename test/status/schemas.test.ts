import swagger from '@fastify/swagger'
import t from 'tap'
import Fastify from 'fastify'
import background from '../../lib/index'
import status from '../../lib/status/status'

t.test('status: @fastify/swagger shows the routes with all that they take and give', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'app', version: '1' } } })
  await app.register(background)
  await app.register(status, { prefix: '/runs' })
  await app.ready()
  const { paths } = app.swagger() as unknown as { paths: Record<string, Record<string, Operation>> }
  const { get, delete: cancel } = paths['/runs/{id}']

  t.strictSame(Object.keys(get.responses), ['200', '204', '303', '404', '503'])
  t.strictSame(Object.keys(get.responses['200'].content), ['application/json', 'text/event-stream'])
  t.match(get.responses['200'].content['application/json'].schema, STATUS)
  t.strictSame(get.parameters.map(({ name, in: place }) => `${place} ${name}`).sort(), ['header last-event-id', 'header prefer', 'path id'])
  t.strictSame(Object.keys(cancel.responses), ['200', '202', '404', '409', '503'])
  for (const { summary, tags } of [get, cancel]) {
    t.ok(summary)
    t.strictSame(tags, ['background tasks'])
  }
})

t.test('status: so it does as Swagger 2.0, its default', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger)
  await app.register(background)
  await app.register(status)
  await app.ready()
  const { paths } = app.swagger() as unknown as { paths: Record<string, Record<string, Operation & { produces: string[] }>> }
  const { get } = paths['/tasks/{id}']

  t.strictSame(get.produces, ['application/json', 'text/event-stream'])
  t.match(get.responses['200'].schema, STATUS)
  t.match(get.responses['303'].schema, STATUS)
})

const STATUS = {
  type: 'object', properties: { id: {}, state: { enum: ['queued', 'active', 'retrying', 'completed', 'failed', 'discarded', 'cancelled', 'stored'] } }
}

interface Operation {
  summary: string
  tags: string[]
  parameters: Array<{ name: string, in: string }>
  responses: Record<string, { content: Record<string, { schema: object }>, schema: object }>
}
