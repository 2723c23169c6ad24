package ring_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/virtio/ring"
	"goemu/hw/virtio/virtiotest"
)

// TestLook looks at chains without taking them.
func TestLook(t *testing.T) {
	d, q := setup(t, 8, false)
	d.Add(virtiotest.Buf{Addr: 1 << 20, Len: 16}, virtiotest.Buf{Addr: 2 << 20, Len: 5, Write: true})
	head := d.AddIndirect(0x20000, virtiotest.Buf{Addr: 3 << 20, Len: 7})
	for range 2 {
		c, err := q.Look(nil)
		require.NoError(t, err)
		require.Equal(t, []string{"next"}, ring.DescFlags(c.Descs[0].Flags))
		require.Equal(t, ring.Desc{Addr: 2 << 20, Len: 5, Flags: 2}, c.Descs[1])
		require.Len(t, c.Descs, 2)
		require.EqualValues(t, 2, c.AvailAt)
	}
	at := uint16(9) // goes round
	c, err := q.Look(&at)
	require.NoError(t, err)
	require.Equal(t, &ring.Chain{Head: head, Descs: []ring.Desc{{Addr: 3 << 20, Len: 7}}, AvailAt: 2}, c)
	e, err := q.Pop()
	require.NoError(t, err)
	require.Len(t, e.In, 1)
	require.EqualValues(t, 2, q.Seen())
}

// TestLookHostile looks at what no driver does.
func TestLookHostile(t *testing.T) {
	const ok = 1 << 20
	for name, c := range map[string]struct {
		prep func(d *virtiotest.Driver)
		want string
	}{
		"ring nowhere":     {func(d *virtiotest.Driver) { d.Cfg.Desc = 1 << 40 }, "Region caches not initialized"},
		"head":             {func(d *virtiotest.Driver) { d.Mem.Store(d.Cfg.Avail+4, 2, 8) }, "Guest says index 8 is available"},
		"loop":             {func(d *virtiotest.Driver) { d.PutDesc(base, 0, virtiotest.Buf{Addr: ok, Len: 1}, 1, 0) }, ""},
		"next":             {func(d *virtiotest.Driver) { d.PutDesc(base, 0, virtiotest.Buf{Addr: ok, Len: 1}, 1, 0xffff) }, ""},
		"indirect":         {func(d *virtiotest.Driver) { d.PutDesc(base, 0, virtiotest.Buf{Addr: ok, Len: 24}, 4, 0) }, "Invalid size for indirect buffer table"},
		"indirect nowhere": {func(d *virtiotest.Driver) { d.PutDesc(base, 0, virtiotest.Buf{Addr: 1 << 40, Len: 0xfffffff0}, 4, 0) }, "Cannot map indirect buffer"},
	} {
		t.Run(name, func(t *testing.T) {
			d, q := setup(t, 8, false)
			c.prep(d)
			require.NoError(t, q.Setup(d.Cfg))
			got, err := q.Look(nil)
			if c.want != "" {
				require.EqualError(t, err, c.want)
				return
			}
			require.NoError(t, err)
			require.LessOrEqual(t, len(got.Descs), 8)
		})
	}
	_, err := ring.New(nil).Look(nil)
	require.EqualError(t, err, "Region caches not initialized")
	_, q := setupPacked(t, 8, false)
	_, err = q.Look(nil)
	require.EqualError(t, err, "Packed ring not supported")
}
