package block

// TryReader is a driver that can answer a read without waiting, for instance from the host's page cache. TryReadV reports whether the
// vectors are filled; after false their contents are undefined and the caller makes an ordinary request instead.
type TryReader interface {
	TryReadV(off int64, iov [][]byte) bool
}

// IovLen is the number of bytes in a vector.
func IovLen(iov [][]byte) int64 {
	var n int64
	for _, b := range iov {
		n += int64(len(b))
	}
	return n
}

// IovSlice returns the part of the vector that covers n bytes from byte off, reusing the storage of dst.
func IovSlice(dst, iov [][]byte, off, n int64) [][]byte {
	dst = dst[:0]
	for _, b := range iov {
		if n <= 0 {
			break
		}
		if l := int64(len(b)); off >= l {
			off -= l
			continue
		}
		b = b[off:]
		off = 0
		if int64(len(b)) > n {
			b = b[:n]
		}
		n -= int64(len(b))
		dst = append(dst, b)
	}
	return dst
}

// IovZero clears a vector.
func IovZero(iov [][]byte) {
	for _, b := range iov {
		clear(b)
	}
}

// IovGather copies the vector into dst and returns the number of bytes copied.
func IovGather(dst []byte, iov [][]byte) int {
	n := 0
	for _, b := range iov {
		n += copy(dst[n:], b)
	}
	return n
}

// IovScatter copies src into the vector and returns the number of bytes copied.
func IovScatter(iov [][]byte, src []byte) int {
	n := 0
	for _, b := range iov {
		n += copy(b, src[n:])
	}
	return n
}

// IovPieces calls f for the parts of a request at off that lie in one unit of the disk each, until one fails.
func IovPieces(off, unit int64, iov [][]byte, f func(off int64, part [][]byte) error) error {
	var part [][]byte
	for done, total := int64(0), IovLen(iov); done < total; {
		n := min(total-done, unit-(off+done)%unit)
		part = IovSlice(part, iov, done, n)
		if err := f(off+done, part); err != nil {
			return err
		}
		done += n
	}
	return nil
}
