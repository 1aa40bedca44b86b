// Starts the servers of the examples, sends them requests as a client would, and shows what happens when.
// The examples themselves are register.ts, upload.ts and policies.ts. Run it: npm run example
import assert from 'node:assert'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { post, registration } from './client'
import { drawTasks } from './events'
import { follow } from './follow'
import { openMailbox, type Mail } from './mailbox'
import { openPartner } from './partner'
import { createPoliciesApp } from './policies'
import { createRegisterApp } from './register'
import { createTimeline, paint } from './timeline'
import { tryPolicies } from './try-policies'
import { createUploadApp } from './upload'
import { WAYS } from './ways'

// It takes about three seconds: what has not happened by then will not happen.
const TIME_LIMIT_MS = 30_000

// The largest file that is always at hand.
const FILE = require.resolve('typescript')

type Stage = Awaited<ReturnType<typeof openStage>>

async function main (): Promise<void> {
  console.log(`\n   ${paint('bold', 'fastify-background: the reply goes first, the work follows')}`)
  console.log(`   ${paint('dim', '┬ a task starts   │ it is at work   ┴ it is done   × it has failed')}`)
  const stage = await openStage()
  try {
    await tryWays(stage)
    const file = await tryUpload(stage)
    await tryPolicies(stage)
    await tryShutdown(stage)
    await sumUp(stage, file)
  } finally {
    await stage.close()
  }
}

async function openStage () {
  const timeline = createTimeline()
  const mails: Mail[] = []
  const mailbox = await openMailbox((mail) => {
    mails.push(mail)
    timeline.row('mailbox', `"${mail.subject}" to ${mail.to}`)
  })
  const partner = await openPartner((call) => timeline.row('partner', call))
  const directory = await mkdtemp(join(tmpdir(), 'background-'))
  const logFile = join(directory, 'register.log')
  await writeFile(logFile, '')
  const register = await createRegisterApp({ smtp: mailbox, logFile, logger: timeline.logger })
  const upload = await createUploadApp({ directory, logger: timeline.logger })
  const policies = await createPoliciesApp({ smtp: mailbox, partnerUrl: partner.url, logger: timeline.requestLogger })
  drawTasks(policies.background, timeline)

  return {
    timeline,
    mails,
    mailbox,
    partner,
    directory,
    logFile,
    register,
    upload,
    policies,
    registerUrl: await register.listen({ port: 0, host: '127.0.0.1' }),
    uploadUrl: await upload.listen({ port: 0, host: '127.0.0.1' }),
    policiesUrl: await policies.listen({ port: 0, host: '127.0.0.1' }),
    async closeApps () {
      await Promise.all([register.close(), upload.close(), policies.close()])
    },
    async close () {
      await this.closeApps()
      await mailbox.close()
      await partner.close()
      await rm(directory, { recursive: true })
    }
  }
}

async function tryWays ({ timeline, mails, logFile, register, registerUrl }: Stage): Promise<void> {
  for (const { title, code, path, email, mailsTo, lines } of WAYS) {
    timeline.title(title, code)
    const mailsBefore = mails.length
    const linesBefore = await countLines(logFile)
    await post(201, registerUrl + path, registration(email))
    await register.background.idle()

    const arrived = sorted(mails.slice(mailsBefore).map((mail) => mail.to))
    assert(arrived === sorted(mailsTo), `${path}: expected mails to [${sorted(mailsTo)}], got [${arrived}]`)
    const written = await countLines(logFile) - linesBefore
    assert(written === lines, `${path}: expected ${lines} new line(s) in the log, got ${written}`)
  }
}

async function tryUpload ({ timeline, directory, upload, uploadUrl }: Stage) {
  const file = await readFile(FILE)
  timeline.title(`An upload of ${megabytes(file.length)}`,
    'reply.background.addTasks(new BackgroundTasks([…], { concurrency: 2 }))')
  const body = new FormData()
  body.append('file', new Blob([file]), basename(FILE))
  const { id: taskId } = await post(202, `${uploadUrl}/files`, { body })
  const { state, location } = await follow(`${uploadUrl}/tasks/${taskId}`, ({ progress }) => timeline.bar('status', progress?.value ?? 0))
  timeline.bar('status', 1, true)
  assert(state === 'completed' && location !== undefined, `the status of the upload is ${state}`)
  await upload.background.idle()

  const gzipped = Buffer.from(await (await fetch(uploadUrl + location)).arrayBuffer())
  const sha256 = await readFile(join(directory, `${basename(location, '.gz')}.sha256`), 'utf8')
  assert(gunzipSync(gzipped).equals(file), 'the compressed file is not the one that was sent')
  assert(createHash('sha256').update(file).digest('hex') === sha256, 'the hash is not that of the file')
  return { size: file.length, gzippedSize: gzipped.length, sha256 }
}

async function tryShutdown (stage: Stage): Promise<void> {
  const { timeline, mails, registerUrl } = stage
  timeline.title('A shutdown with a mail under way', 'await app.close()')
  await post(201, `${registerUrl}/register`, registration('linus@example.com'))
  timeline.row('app', 'close() is called')
  await stage.closeApps()
  timeline.row('app', 'closed')
  assert(mails.at(-1)?.to === 'linus@example.com', 'the mail was lost at shutdown')
}

type Upload = Awaited<ReturnType<typeof tryUpload>>

async function sumUp ({ timeline, mails, logFile, register, upload, policies }: Stage, file: Upload): Promise<void> {
  const stats = [register, upload, policies].map((app) => app.background.stats())
  const sum = (state: 'accepted' | 'completed' | 'failed' | 'cancelled'): number =>
    stats.reduce((total, each) => total + each[state], 0)
  const others = sum('accepted') - sum('completed')
  assert(others === 2, `expected all tasks but 2 to be completed, got ${others} others`)

  timeline.title('In sum', `${sum('accepted')} tasks: ${sum('completed')} completed, ` +
    `${sum('failed')} failed, ${sum('cancelled')} cancelled`)
  const check = paint('green', '✓')
  console.log(`   ${check} ${mails.length} mails, ${await countLines(logFile)} lines in the log`)
  console.log(`   ${check} ${basename(FILE)}: ${megabytes(file.size)}, compressed ${megabytes(file.gzippedSize)}`)
  console.log(`   ${check} sha256 ${file.sha256}\n`)
}

function sorted (addresses: string[]): string {
  return [...addresses].sort().join(', ')
}

async function countLines (file: string): Promise<number> {
  return (await readFile(file, 'utf8')).split('\n').length - 1
}

function megabytes (bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

function fail (reason: string): void {
  console.error(`\n   ${paint('red', '✗')} ${reason}\n`)
  process.exit(1)
}

const limit = setTimeout(fail, TIME_LIMIT_MS, `not over after ${TIME_LIMIT_MS / 1000} s`)
main().then(() => clearTimeout(limit), (error: Error) => fail(error.message))
