package textcon

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/ui"
)

// lines are what a console shows, without the blanks at the ends.
func lines(c *Console) (list []string) {
	var t ui.Text
	c.Text(&t)
	for y := range t.Height {
		var b strings.Builder
		for _, cell := range t.Cells[y*t.Width : (y+1)*t.Width] {
			b.WriteByte(byte(cell))
		}
		list = append(list, strings.TrimRight(b.String(), " "))
	}
	return list
}

func TestScreen(t *testing.T) {
	for in, want := range map[string][3]string{
		"hello\r\nworld":                          {"hello", "world", ""},
		"a\r\nb\r\nc\r\nd":                        {"b", "c", "d"},
		"0123456789ab":                            {"0123456789", "ab", ""},
		"0123456789\r\nx":                         {"0123456789", "x", ""},
		"abc\b\bX\r\n\tY":                         {"aXc", "        Y", ""},
		"\x1b[2;3Hx\x1b[A\x1b[Dy\x1b[1;1Hz":       {"z y", "  x", ""},
		"abcdef\x1b[3D\x1b[K":                     {"abc", "", ""},
		"abcdef\x1b[3D\x1b[1K":                    {"    ef", "", ""},
		"abcdef\r\nghi\x1b[2J\x1b[Hx":             {"x", "", ""},
		"abcdef\x1b[1;2H\x1b[2P":                  {"adef", "", ""},
		"abcdef\x1b[1;2H\x1b[2@X":                 {"aX bcdef", "", ""},
		"abc\x1b7\r\nd\x1b8e\x1b[s\x1b[Hf\x1b[ug": {"fbceg", "d", ""},
		"\x1b[?25lx\x1b(By\x1b[12;34;;;q":         {"xy", "", ""},
		"\x1b[99999999999;0Hx":                    {"", "", "x"},
	} {
		c := New("c", 10, 3)
		_, _ = io.WriteString(c, "\x1bc"+in)
		require.Equal(t, want[:], lines(c), "%q", in)
	}
}

func TestColors(t *testing.T) {
	c := New("c", 10, 3)
	_, _ = io.WriteString(c, "\x1bca\x1b[1;31;44mb\x1b[7mc\x1b[0md")
	var text ui.Text
	c.Text(&text)
	require.Equal(t, []ui.Cell{0x0700 | 'a', 0x1c00 | 'b', 0x4900 | 'c', 0x0700 | 'd'}, text.Cells[:4])
	require.Equal(t, []int{4, 0}, []int{text.CursorX, text.CursorY})
}

// TestScrolling looks at lines that have left the screen.
func TestScrolling(t *testing.T) {
	c := New("c", 10, 3)
	_, _ = io.WriteString(c, "a\r\nb\r\nc\r\nd")
	for _, step := range []struct {
		lines int
		text  string
		want  [3]string
	}{
		{1, "", [3]string{"a", "b", "c"}},
		{0, "\r\ne", [3]string{"a", "b", "c"}}, // what is looked at stays
		{10, "", [3]string{"c console", "a", "b"}},
		{-1, "", [3]string{"a", "b", "c"}},
		{-10, "", [3]string{"c", "d", "e"}},
	} {
		c.Scroll(step.lines)
		_, _ = io.WriteString(c, step.text)
		require.Equal(t, step.want[:], lines(c))
	}
	_, _ = io.WriteString(c, strings.Repeat("\r\n", 2*maxLines))
	c.Scroll(maxLines)
	require.Len(t, c.above, maxLines-3)
}

// TestDrawing draws the colours that are seen and the cursor.
func TestDrawing(t *testing.T) {
	set := ui.NewSet()
	c := New("c", 10, 3)
	c.Show(set)
	_, _ = io.WriteString(c, "\x1b[44mx\x1b[1;43my")
	color := func(x, y int) uint32 { return c.con.Surface().Row(y*ui.FontHeight + ui.FontHeight - 1)[x*ui.FontWidth] }
	c.draw(true)
	require.Equal(t, []uint32{0x0000aa, 0x0000aa, 0xffff00, 0xaaaaaa, 0}, []uint32{color(0, 0), color(0, 1), color(1, 1), color(2, 1), color(3, 1)})
	c.draw(false)
	require.Equal(t, []uint32{0xffff00, 0}, []uint32{color(1, 1), color(2, 1)})
}

// TestSize gives a console without a size that of the machine's screen.
func TestSize(t *testing.T) {
	set := ui.NewSet()
	set.Add(t, 0, nil) // 640 x 480
	c, fixed := New("c", 0, 0), New("d", 20, 5)
	c.Show(set)
	fixed.Show(set)
	require.Len(t, lines(c), 30)
	require.Equal(t, "c console", lines(c)[0])
	require.Len(t, lines(fixed), 5)
}

func TestTyping(t *testing.T) {
	c := New("c", 0, 0)
	c.Type([]byte("ls\r"))
	b := make([]byte, 16)
	n, err := c.Read(b)
	require.NoError(t, err)
	require.Equal(t, "ls\r", string(b[:n]))
	_, _ = io.WriteString(c, "\x1b[2;5H\x1b[6n")
	n, _ = c.Read(b)
	require.Equal(t, "\x1b[2;5R", string(b[:n]))
	require.NoError(t, c.Close())
	_, err = c.Read(b)
	require.ErrorIs(t, err, io.EOF)
}

// FuzzScreen writes whatever a guest may write.
func FuzzScreen(f *testing.F) {
	f.Add([]byte("\x1b[2;3Hx\x1b[1;31mab\x1b[K\x1b[5@\x1b[9P\n\n\n\x1b[6n\x1bc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := New("c", 10, 4)
		_, _ = c.Write(b)
		c.Scroll(len(b) / 2)
		_, _ = c.Write(b)
		var text ui.Text
		c.Text(&text)
		if text.CursorX < -1 || text.CursorX >= 10 || text.CursorY < -1 || text.CursorY >= 4 {
			t.Fatalf("cursor at %d, %d", text.CursorX, text.CursorY)
		}
	})
}
