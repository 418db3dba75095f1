package vql

import (
	"github.com/Velocidex/ordereddict"
)

// Dict is VQL's dictionary: string keys in the order in which they were set.
// A nil Dict reads as empty. Setting a key that exists moves it to the end.
// A Dict may be used by several goroutines at once.
type Dict ordereddict.Dict

// NewDict returns an empty dictionary.
func NewDict() *Dict { return (*Dict)(ordereddict.NewDict()) }

func (d *Dict) inner() *ordereddict.Dict { return (*ordereddict.Dict)(d) }

// Set stores the value under the key and returns d. The value may be anything
// that a plugin may emit.
func (d *Dict) Set(key string, value any) *Dict {
	d.inner().Set(key, toEngine(value))
	return d
}

// Update stores the value and leaves the key where it is, if it exists.
func (d *Dict) Update(key string, value any) *Dict {
	d.inner().Update(key, toEngine(value))
	return d
}

// Delete removes the key.
func (d *Dict) Delete(key string) {
	if d != nil {
		d.inner().Delete(key)
	}
}

// Get returns the value of the key, nil for NULL, and whether the key is there.
func (d *Dict) Get(key string) (any, bool) {
	if d == nil {
		return nil, false
	}
	value, found := d.inner().Get(key)
	if !found {
		return nil, false
	}
	return fromEngine(value), true
}

// GetString returns the value of the key if it is a string, else "".
func (d *Dict) GetString(key string) string {
	value, _ := d.Get(key)
	text, _ := value.(string)
	return text
}

// Len returns the number of keys.
func (d *Dict) Len() int {
	if d == nil {
		return 0
	}
	return d.inner().Len()
}

// Keys returns the keys in order.
func (d *Dict) Keys() []string {
	if d == nil {
		return nil
	}
	return d.inner().Keys()
}

// Copy returns a dictionary with the same keys and values.
func (d *Dict) Copy() *Dict {
	if d == nil {
		return NewDict()
	}
	return (*Dict)(d.inner().Copy())
}

// All ranges over keys and values in order. The dictionary may be changed
// meanwhile; the range does not see it.
func (d *Dict) All() func(yield func(string, any) bool) {
	return func(yield func(string, any) bool) {
		if d == nil {
			return
		}
		for _, item := range d.inner().Items() {
			if !yield(item.Key, fromEngine(item.Value)) {
				return
			}
		}
	}
}

// Members returns the keys. VQL calls it for `SELECT *`.
func (d *Dict) Members() []string { return d.Keys() }

// String returns the dictionary as JSON.
func (d *Dict) String() string { return string(AppendValue(nil, d)) }

// MarshalJSON encodes the dictionary as [AppendValue] does.
func (d *Dict) MarshalJSON() ([]byte, error) { return AppendValue(nil, d), nil }
