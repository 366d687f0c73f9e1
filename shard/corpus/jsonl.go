package corpus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// maxRecord bounds a JSON record in memory.
const maxRecord = 16 << 20

// readJSONL reads one JSON object a line; its "text" is a document.
func (s *source) readJSONL(ctx context.Context) error {
	in := &lines{r: s.r, max: maxRecord}
	out := s.assembler()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, whole, err := in.next()
		if err != nil {
			return errors.Join(out.end(), ignoreEOF(err))
		}
		if !whole {
			for in.open && err == nil {
				_, _, err = in.next()
			}
			s.reject(in.number, fmt.Sprintf("record of more than %d MB", maxRecord>>20))
			continue
		}
		line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")))
		if len(line) == 0 {
			continue
		}
		var record struct {
			Text *string `json:"text"`
		}
		if err := json.Unmarshal(line, &record); err != nil {
			s.reject(in.number, jsonReason(err))
			continue
		}
		if record.Text == nil {
			s.reject(in.number, `no "text" in the record`)
			continue
		}
		if _, bad := Clean(*record.Text); garbage(bad, len(*record.Text)) {
			s.reject(in.number, "binary content")
			continue
		}
		out.source = fmt.Sprintf("%s:%d", s.name, in.number)
		if err := paragraphsOf(*record.Text, out); err != nil {
			return err
		}
	}
}

// jsonReason describes the fault of a record, in terms of JSON.
func jsonReason(err error) string {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field == "text":
		return `"text" is no string but: ` + kind.Value
	case errors.As(err, &kind):
		return "no JSON object but: " + kind.Value
	}
	return "no JSON: " + err.Error()
}
