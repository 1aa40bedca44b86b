// Runs one snippet that has tests of its own, as a process: `snippet-test.ts FILE LINE`. Fails as its tests do.
import { snippetsOf } from './docs'
import { run } from './snippets'

const [file, line] = process.argv.slice(2)
const snippet = snippetsOf(file).find((each) => each.line === Number(line))!

run(snippet, { directory: '' }).catch((error) => {
  console.error(error)
  process.exit(1)
})
