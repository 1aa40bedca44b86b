import t from 'tap'
import { startExample } from './helpers/example'

t.test('otel.ts: Prometheus finds the metrics of the tasks over HTTP, and the spans are printed', async (t) => {
  const example = startExample(t, 'otel.ts')
  const [, url] = await example.prints(/The metrics are at (http:\S+)/)
  const response = await fetch(url)
  const text = await response.text()
  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)

  // Ten mails, one of them in its second attempt.
  const value = (name: string, ...labels: string[]): number => {
    const line = text.split('\n').find((line) => line.startsWith(`${name}{`) && labels.every((label) => line.includes(label)))
    return Number(/} (\S+)/.exec(line ?? '')?.[1])
  }
  const task = 'messaging_destination_name="send-email"'
  t.equal(value('fastify_background_runs_total', task, 'fastify_background_outcome="completed"'), 10)
  t.equal(value('messaging_process_duration_count', task, 'fastify_background_outcome="completed"'), 10)
  t.equal(value('messaging_process_duration_count', task, 'fastify_background_outcome="retrying"', 'error_type="Error"'), 1)
  t.equal(value('fastify_background_queue_duration_count', task), 10)
  for (const state of ['queued', 'active', 'retrying']) t.equal(value('fastify_background_pending', `fastify_background_state="${state}"`), 0, state)
  t.match(text, /^# TYPE messaging_process_duration histogram$/m)
  t.match(text, /^# TYPE fastify_background_runs_total counter$/m)
  t.match(text, /^# TYPE fastify_background_pending gauge$/m)

  example.terminate()
  const { stdout, ...ending } = await example.ended
  t.strictSame(ending, { code: 0, signal: null, stderr: '' })
  t.equal(stdout.match(/process send-email, [\d.]+ ms, attempt 1, completed, linked to trace \w{6}\n/g)?.length, 9)
  t.equal(stdout.match(/process send-email, [\d.]+ ms, attempt 1, retrying, linked to trace \w{6}\n/g)?.length, 1)
  t.equal(stdout.match(/process send-email, [\d.]+ ms, attempt 2, completed, linked to trace \w{6}\n/g)?.length, 1)
  t.equal(stdout.match(/smtp, [\d.]+ ms, in the span of its task\n/g)?.length, 11)
})
