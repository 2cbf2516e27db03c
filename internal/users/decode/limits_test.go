package decode_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// generous limits bind no list of a test.
var generous = decode.Limits{Text: 1 << 30, Memory: 1 << 30}

func ignore(decode.Row) error { return nil }

func TestRows_LimitsBindEveryFormat(t *testing.T) {
	t.Parallel()
	for format, text := range map[decode.Format]string{
		decode.CSV:    "username\n" + strings.Repeat("ann\n", 1000),
		decode.JSON:   "[" + strings.TrimSuffix(strings.Repeat(`{"username":"ann"},`, 1000), ",") + "]",
		decode.NDJSON: strings.Repeat("{\"username\":\"ann\"}\n", 1000),
		decode.YAML:   strings.Repeat("- username: ann\n", 1000),
	} {
		size := int64(len(text))
		if read, err := decode.Rows(t.Context(), []byte(text), format, decode.Limits{Text: size, Memory: 1 << 20}, ignore); err != nil || read != size {
			t.Errorf("%s: read %d of %d bytes: %v", format, read, size, err)
		}
		if _, err := decode.Rows(t.Context(), []byte(text), format, decode.Limits{Text: size - 1, Memory: 1 << 20}, ignore); !errors.Is(err, decode.ErrLimit) {
			t.Errorf("%s: one byte more than the limit: %v", format, err)
		}
		_, err := decode.Rows(t.Context(), []byte(text), format, decode.Limits{Text: size, Memory: 100_000}, ignore)
		if errors.Is(err, decode.ErrLimit) != (format == decode.YAML) {
			t.Errorf("%s with 100 KB of memory: %v", format, err)
		}
	}
}

func TestRows_StopsWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	for format, text := range map[decode.Format]string{
		decode.CSV:    "username\n" + strings.Repeat("ann\n", 1<<20),
		decode.JSON:   "[" + strings.TrimSuffix(strings.Repeat("{},", 1<<20), ",") + "]",
		decode.NDJSON: strings.Repeat("{}\n", 1<<20),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		rows := 0
		_, err := decode.Rows(ctx, []byte(text), format, generous, func(decode.Row) error {
			cancel()
			rows++
			return nil
		})
		if !errors.Is(err, context.Canceled) || rows == 1<<20 {
			t.Errorf("%s: %v after %d rows", format, err, rows)
		}
	}
}
