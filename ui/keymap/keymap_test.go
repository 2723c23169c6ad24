package keymap

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/ui/input"
)

// qemuLayouts is where QEMU's layouts are (package qemu-system-data).
const qemuLayouts = "/usr/share/qemu/keymaps"

// TestUS compares the layout of this package with QEMU's, which knows more symbols and keys.
func TestUS(t *testing.T) {
	f, err := os.Open(filepath.Join(qemuLayouts, "en-us"))
	if err != nil {
		t.Skip("ORACLE MISSING: no layouts from package qemu-system-data: ", err)
	}
	defer f.Close()
	l, err := Parse(f)
	require.NoError(t, err)
	for c := rune('!'); c <= '~'; c++ {
		require.Equal(t, l[uint32(c)][0], US[uint32(c)][0], "%c", c)
	}
	for sym, list := range US {
		if q := l[sym]; len(q) > 0 {
			same := slices.ContainsFunc(q, func(s Stroke) bool { return s.Key.Num() == list[0].Key.Num() }) // print and sysrq are one
			require.True(t, same, "%#x: %v", sym, q)
		}
	}
}

// TestAll reads all of QEMU's layouts: each has the letters of some alphabet.
func TestAll(t *testing.T) {
	list, _ := filepath.Glob(qemuLayouts + "/*")
	if list == nil {
		t.Skip("ORACLE MISSING: no layouts from package qemu-system-data")
	}
	for _, name := range list {
		f, err := os.Open(name)
		require.NoError(t, err)
		l, err := Parse(f)
		_ = f.Close()
		require.NoError(t, err, name)
		require.Greater(t, len(l), 100, name)
	}
}

func TestKey(t *testing.T) {
	l, err := Parse(strings.NewReader("# German\nmap 0x407\nat 0x10 altgr\nq 0x10 addupper\nplus 0x1b\nplus 0x4e numlock\nasterisk 0x1b shift\n" +
		"asterisk 0x37\nnosuch 0x20\nU20AC 0x12 altgr\nTab 0x0f\nbad\nbad 1000\n\n"))
	require.NoError(t, err)
	up := func(input.Key) bool { return false }
	require.Equal(t, "q", l.Key('@', true, 0, up).String())
	require.Equal(t, "q", l.Key('Q', true, Shift, up).String())
	require.Equal(t, "e", l.Key(0x10020ac, true, AltGr, up).String())
	require.Equal(t, "tab", l.Key(leftTab, true, Shift, up).String())
	require.Equal(t, "bracket_right", l.Key('*', true, Shift, up).String())
	require.Equal(t, "kp_multiply", l.Key('*', true, 0, up).String())
	require.Equal(t, "kp_multiply", l.Key('*', false, 0, func(k input.Key) bool { return k == input.KeyMulti }).String())
	require.Equal(t, input.KeyUnmapped, l.Key(0x7777, true, 0, up))
	_, err = Parse(strings.NewReader("include common\n"))
	require.EqualError(t, err, "keymap include files are not supported any more")
}

// FuzzParse reads what is no layout.
func FuzzParse(f *testing.F) {
	f.Add("at 0x10 altgr\nq 0x10 addupper\nU20AC 0x12 altgr\n")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Parse(strings.NewReader(s))
		if err != nil {
			return
		}
		for sym := range l {
			l.Key(sym, true, Shift, nil)
		}
	})
}
