//go:build !linux || !amd64

package amd64

// hostFeats is empty where generated code cannot run.
func hostFeats() (f [numHostFeats]bool) { return f }
