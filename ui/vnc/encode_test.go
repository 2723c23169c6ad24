package vnc

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"goemu/ui"
)

// textPages are pictures of 80 by 25 characters with text that scrolls.
func textPages(t testing.TB, pages int) (list []patch) {
	ui.FindROM = func() []byte {
		b, _ := os.ReadFile("/usr/share/seabios/vgabios-stdvga.bin")
		return b
	}
	if ui.Font() == nil {
		t.Skip("ORACLE MISSING: seabios")
	}
	b, err := os.ReadFile("client.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.ReplaceAll(string(b), "\t", "    "), "\n")
	for i := range pages {
		s := ui.NewSurface(640, 400)
		for y := range 25 {
			for x, c := range []byte(lines[(i*25+y)%len(lines)]) {
				if x < 80 {
					s.Char(ui.FontWidth*x, ui.FontHeight*y, c, 0xaaaaaa, 0)
				}
			}
		}
		p := patch{0, 0, s.Width, s.Height, nil}
		for y := range s.Height {
			p.pix = append(p.pix, s.Row(y)...)
		}
		list = append(list, p)
	}
	return list
}

// BenchmarkEncode is what a page of text costs in time and bytes.
func BenchmarkEncode(b *testing.B) {
	pages := textPages(b, 16)
	for _, enc := range []struct {
		name   string
		number int32
	}{{"raw", encRaw}, {"hextile", encHextile}, {"zlib", encZlib}, {"tight", encTight}, {"zrle", encZRLE}} {
		for _, level := range []int{1, 6, 9} {
			b.Run(fmt.Sprintf("%s-%d", enc.name, level), func(b *testing.B) {
				e := &encoder{format: nativeFormat, encoding: enc.number, level: level, quality: -1}
				n := 0
				for i := range b.N {
					e.out = e.out[:0]
					p := pages[i%len(pages)]
					e.patch(&p)
					n += len(e.out)
				}
				b.ReportMetric(float64(n)/float64(b.N), "B/page")
			})
		}
	}
}
