// Package hostfp runs single floating-point instructions of an amd64 host, as an oracle for tests.
package hostfp
