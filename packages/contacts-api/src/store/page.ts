/** The end of a page: the last item's value of the sorted column, and its id. */
export interface Position {
  readonly value: string;
  readonly id: string;
}

export interface PageRequest {
  readonly limit: number;
  readonly after?: Position | undefined;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: Position | undefined;
}

type SortColumn = 'search_text' | 'created_at' | 'updated_at';

/** A column and a direction. Rows with the same value are in the order of their ids. */
export interface Order {
  readonly column: SortColumn;
  readonly direction: 'asc' | 'desc';
}
