package vql

// Columns is the shape of rows: the names of their columns in order. One
// Columns is shared by all rows of a kind, so that names are looked up and
// encoded once.
type Columns struct {
	names []string
	index map[string]int
	keys  [][]byte // `"name":`
}

// NewColumns returns the shape with these names. Of two equal names the second
// is not reachable by [Row.Get].
func NewColumns(names ...string) *Columns {
	c := &Columns{
		names: append([]string(nil), names...),
		index: make(map[string]int, len(names)),
		keys:  make([][]byte, len(names)),
	}
	for i, name := range c.names {
		if _, taken := c.index[name]; !taken {
			c.index[name] = i
		}
		c.keys[i] = append(appendString(nil, name), ':')
	}
	return c
}

// Names returns the names in order. The caller must not change them.
func (c *Columns) Names() []string {
	if c == nil {
		return nil
	}
	return c.names
}

// Index returns the position of the column, or -1.
func (c *Columns) Index(name string) int {
	if c == nil {
		return -1
	}
	if i, found := c.index[name]; found {
		return i
	}
	return -1
}

// Row is one row: values in the order of its columns. The zero Row has none.
type Row struct {
	Columns *Columns
	Values  []any
}

// NewRow returns a row of that shape. Missing values are NULL.
func NewRow(c *Columns, values ...any) Row { return Row{Columns: c, Values: values} }

// DictRow returns the keys and values of the dictionary as a row.
func DictRow(d *Dict) Row {
	values := make([]any, 0, d.Len())
	names := make([]string, 0, d.Len())
	for name, value := range d.All() {
		names = append(names, name)
		values = append(values, value)
	}
	return Row{Columns: NewColumns(names...), Values: values}
}

// Get returns the value of the column, nil for NULL, and whether the row has
// that column.
func (r Row) Get(name string) (any, bool) {
	i := r.Columns.Index(name)
	if i < 0 {
		return nil, false
	}
	return r.At(i), true
}

// At returns the value of the i-th column, nil for NULL.
func (r Row) At(i int) any { return fromEngine(r.at(i)) }

// Dict returns the row as a dictionary of its own.
func (r Row) Dict() *Dict {
	d := NewDict()
	for i, name := range r.Columns.Names() {
		d.Set(name, r.at(i))
	}
	return d
}

// String returns the row as JSON.
func (r Row) String() string { return string(AppendJSON(nil, r)) }

// MarshalJSON encodes the row as [AppendJSON] does.
func (r Row) MarshalJSON() ([]byte, error) { return AppendJSON(nil, r), nil }

// at returns the i-th value as it is.
func (r Row) at(i int) any {
	if i >= len(r.Values) {
		return nil
	}
	return r.Values[i]
}
