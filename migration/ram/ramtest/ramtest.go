// Package ramtest makes RAM blocks for the tests of what moves them.
package ramtest

import (
	"testing"

	"goemu/internal/memory"
)

// NewBlock makes a block of so many pages, which goes with the test.
func NewBlock(t testing.TB, name string, pages int) *memory.RAMBlock {
	t.Helper()
	b, err := memory.NewRAMBlock(name, uint64(pages)*memory.PageSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Free() })
	return b
}
