package driver_test

import (
	"testing"

	"goemu/block"
)

// TestIOContext: a disk is bound to one thread; what belongs together goes along, unless a guest device is in the way.
func TestIOContext(t *testing.T) {
	g, _ := newGraph(t)
	base := open(t, g, block.Mode{}, "driver", "null-co", "node-name", "base")
	top := open(t, g, block.Mode{}, "driver", "raw", "node-name", "top", "file", "base")
	other := open(t, g, block.Mode{}, "driver", "null-co", "node-name", "other")
	a, err := backend(t, g, top, "a", read, all)
	if err != nil {
		t.Fatal(err)
	}
	b, err := backend(t, g, base, "b", read, all)
	if err != nil {
		t.Fatal(err)
	}
	is := func(want string, nodes ...*block.Node) {
		t.Helper()
		for _, n := range nodes {
			if n.IOContext() != want {
				t.Errorf("%s is bound to %q, want %q", n.Name(), n.IOContext(), want)
			}
		}
	}
	must := func(err error, want string) {
		t.Helper()
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
	const conflict = "Cannot change iothread of active block backend"
	must(a.SetIOContext("one"), "")
	is("one", top, base)
	a.AttachDevice(&block.Device{Name: "a"})
	must(b.SetIOContext("two"), conflict)
	is("one", top, base)
	must(base.SetIOContext(""), conflict)
	must(b.SetIOContext("one"), "")
	must(a.SetIOContext("two"), "") // b is nobody's yet
	is("two", top, base)
	b.AttachDevice(&block.Device{Name: "b"})
	must(a.SetIOContext("one"), conflict)
	is("two", top, base)

	above := open(t, g, block.Mode{}, "driver", "raw", "node-name", "above", "file", "top")
	is("two", above) // whoever joins comes along
	must(other.SetIOContext("three"), "")
	c, err := backend(t, g, other, "c", read, all)
	if err != nil {
		t.Fatal(err)
	}
	c.AttachDevice(&block.Device{Name: "c"})
	reopen := func() error {
		return g.Reopen(t.Context(), block.ReopenRequest{Node: above, Options: block.OptionsOf("driver", "raw", "node-name", "above", "file", "other")})
	}
	must(reopen(), "")
	is("three", above, other)
	is("two", top, base)
	d, err := backend(t, g, above, "d", read, all)
	if err != nil {
		t.Fatal(err)
	}
	d.AttachDevice(&block.Device{Name: "d"})
	must(g.Reopen(t.Context(), block.ReopenRequest{Node: above, Options: block.OptionsOf("driver", "raw", "node-name", "above", "file", "top")}), conflict)
	is("three", above, other)
	is("two", top, base)
}
