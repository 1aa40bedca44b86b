import t from 'tap'
import { journalStore } from '../helpers/journal'
import { engineSuite } from './suite'

engineSuite(t, 'journal', async (t) => journalStore(t))
