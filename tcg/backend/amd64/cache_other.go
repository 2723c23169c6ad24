//go:build !linux

package amd64

import "errors"

type codeCache struct {
	rw, rx      []byte
	base        uintptr
	next, floor int
}

func newCodeCache(int) (*codeCache, error) { return nil, errors.New("no code cache on this host") }
func (c *codeCache) close() error          { return nil }
func (c *codeCache) room(int)              {}
func (c *codeCache) patch(int, int32)      {}
