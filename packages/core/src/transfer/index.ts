// For moving what a store holds into another one: what store authors implement for `mcp-durable migrate`
export type {
  DuePiece,
  HistoryPiece,
  ListedPiece,
  LogPiece,
  MapPiece,
  MarksPiece,
  MovedCall,
  MovedState,
  NodePiece,
  Piece,
  PlacesPiece,
  ScopePiece,
  Transfer,
  ValuesPiece,
  WaitingPiece,
} from './pieces.js'
export { bytesIn, pagesOf } from './pages.js'
