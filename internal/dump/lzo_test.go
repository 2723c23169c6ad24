package dump

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// unlzo decompresses what any compressor may have made of at most limit bytes.
func unlzo(b []byte, limit int) (out []byte, err error) {
	at := 0
	next := func() int {
		if at >= len(b) {
			panic("short")
		}
		at++
		return int(b[at-1])
	}
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("bad stream")
		}
	}()
	length := func(n, base int) int {
		if n != 0 {
			return n
		}
		for n = base; ; n += 255 {
			if c := next(); c != 0 {
				return n + c
			}
		}
	}
	literals := func(n int) {
		out = append(out, b[at:at+n]...)
		at += n
	}
	state := 0 // literals that the last instruction had; 4: many
	if c := int(b[0]); c > 17 {
		at++
		if literals(c - 17); c-17 < 4 {
			state = c - 17
		} else {
			state = 4
		}
	}
	for len(out) <= limit {
		c := next()
		var n, dist, more int
		switch {
		case c < 16 && state == 0:
			literals(3 + length(c, 15))
			state = 4
			continue
		case c < 16 && state == 4:
			n, dist, more = 3, next()<<2+c>>2+2049, c&3
		case c < 16:
			n, dist, more = 2, next()<<2+c>>2+1, c&3
		case c < 32:
			n = 2 + length(c&7, 7)
			lo := next()
			d := lo>>2 + next()<<6
			if dist, more = 16384+(c&8)<<11+d, lo&3; dist == 16384 {
				if at != len(b) {
					panic("trailing")
				}
				return out, nil
			}
		case c < 64:
			n = 2 + length(c&31, 31)
			lo := next()
			dist, more = lo>>2+next()<<6+1, lo&3
		default:
			n, dist, more = c>>5+1, next()<<3+c>>2&7+1, c&3
		}
		for range n {
			out = append(out, out[len(out)-dist])
		}
		literals(more)
		state = more
	}
	return nil, errors.New("too long")
}

func TestLZO(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var z lzo
	check := func(b []byte) []byte {
		t.Helper()
		p := z.pack(nil, b)
		out, err := unlzo(p, len(b))
		require.NoError(t, err)
		require.Equal(t, b, append([]byte{}, out...))
		return p
	}
	check([]byte{})
	require.Less(t, len(check(make([]byte, kdumpPage))), 50)
	for range 2000 {
		b := make([]byte, r.IntN(kdumpPage+1))
		letters, words := 1+r.IntN(255), r.IntN(2) == 0
		for i := 0; i < len(b); i++ {
			b[i] = byte(r.IntN(letters))
			if words && i > 0 && r.IntN(20) == 0 { // a piece of what came before
				from := r.IntN(i)
				i += copy(b[i:], b[from:min(i, from+r.IntN(600))])
			}
		}
		check(b)
	}
	check(bytes.Repeat([]byte("0123456789abcdef"), 4000))
}
