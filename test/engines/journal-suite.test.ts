import t from 'tap'
import { journalStore } from './journal-support'
import { engineSuite } from './suite'

engineSuite(t, 'journal', async (t) => journalStore(t))
