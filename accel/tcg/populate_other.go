//go:build !linux

package tcg

// populate does nothing on this host.
func populate[T any]([]T) {}
