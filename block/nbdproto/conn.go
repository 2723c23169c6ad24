package nbdproto

import (
	"errors"
	"io"
	"net"
	"os"

	"crypto/tls"

	"goemu/block"
	"goemu/internal/sockaddr"
	"goemu/internal/strerror"

	"golang.org/x/sys/unix"
)

// Error makes an error in QEMU's words.
func Error(format string, a ...any) error { return block.Errorf(unix.EINVAL, format, a...) }

// AddrError gives an error of package sockaddr the type that carries hints.
func AddrError(err error) error {
	if e, ok := err.(*sockaddr.Error); ok {
		return &block.Error{Errno: e.Errno, Text: e.Text, Hint: e.Hint}
	}
	return err
}

// EOFText is what a read says of a connection that ended within a message.
const EOFText = "Unexpected end-of-file before all bytes were read"

// IOText describes a failed read or write of a connection; verb is "read from" or "write to".
func IOText(c net.Conn, verb string, err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if _, isTLS := c.(*tls.Conn); isTLS && errors.Is(err, io.ErrUnexpectedEOF) {
			return "Cannot " + verb + " TLS channel: " + strerror.Text(unix.ECONNABORTED)
		}
		return EOFText
	}
	what := "Unable to " + verb + " socket: "
	if _, ok := c.(*tls.Conn); ok {
		what = "Cannot " + verb + " TLS channel: "
		var alert tls.AlertError
		if errors.As(err, &alert) {
			return what + strerror.Text(unix.ECONNABORTED)
		}
	}
	var e unix.Errno
	if !errors.As(err, &e) {
		e = unix.EIO
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return EOFText // the socket was shut down under the reader
		}
	}
	return what + strerror.Text(e)
}

// ReadFull fills b; what names it in the error.
func ReadFull(c net.Conn, b []byte, what string) error {
	if _, err := io.ReadFull(c, b); err != nil {
		text := IOText(c, "read from", err)
		if what != "" {
			text = "Failed to read " + what + ": " + text
		}
		return Error("%s", text)
	}
	return nil
}

// Write sends b.
func Write(c net.Conn, b []byte) error {
	if _, err := c.Write(b); err != nil {
		return Error("%s", IOText(c, "write to", err))
	}
	return nil
}

// Drop reads n bytes and forgets them.
func Drop(c net.Conn, n int64) error {
	if _, err := io.CopyN(io.Discard, c, n); err != nil {
		return Error("%s", IOText(c, "read from", err))
	}
	return nil
}

func readUint16(c net.Conn, what string) (uint16, error) {
	var b [2]byte
	err := ReadFull(c, b[:], what)
	return be.Uint16(b[:]), err
}

func readUint32(c net.Conn, what string) (uint32, error) {
	var b [4]byte
	err := ReadFull(c, b[:], what)
	return be.Uint32(b[:]), err
}

func readUint64(c net.Conn, what string) (uint64, error) {
	var b [8]byte
	err := ReadFull(c, b[:], what)
	return be.Uint64(b[:]), err
}
