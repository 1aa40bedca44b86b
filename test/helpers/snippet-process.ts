// Runs one snippet as a process of its own: `snippet-process.ts FILE LINE`. Says its address to the parent process.
import { tmpdir } from 'node:os'
import { snippetsOf } from './docs'
import { run } from './snippets'

const [file, line] = process.argv.slice(2)
const snippet = snippetsOf(file).find((each) => each.line === Number(line))!

run(snippet, { directory: tmpdir() }, (text) => process.stdout.write(`${text}\n`)).then(({ apps: [app], routes: [{ method, url }] }) => {
  process.send!({ url: new URL(url, app.listeningOrigin).href, method })
  // The channel is not to keep the process alive.
  process.disconnect()
}, (error) => {
  console.error(error)
  process.exit(1)
})
