// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
)

const (
	// maxMessage is the most characters kept of a text of the server: enough to understand it, and little enough that several
	// fit into a condition.
	maxMessage = 200
	// maxErrorDepth bounds how deep a text may lie in a body: each level is read once more than the one around it.
	maxErrorDepth = 4
	// enoughText is how many bytes of a list of errors are collected; clean shortens them.
	enoughText = 8 * maxMessage
)

// errorText finds the text for people in the body of a failure: that of JSON, or plain text. A page of HTML says nothing that
// fits into one line.
func errorText(text []byte) string {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	if json.Valid(text) {
		return jsonText(text, maxErrorDepth)
	}
	plain := string(text)
	if strings.HasPrefix(plain, "<") || strings.Contains(plain, "</") || strings.ContainsFunc(plain, isBinary) {
		return ""
	}
	return plain
}

// isBinary reports whether a character stands in no text.
func isBinary(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }

// jsonText finds the text for people in a JSON value: a string, a list of texts, or an object with a message, an error,
// errors, or a title and a detail.
func jsonText(value json.RawMessage, depth int) string {
	switch c := firstByte(value); {
	case c == '"':
		return strings.TrimSpace(stringOf(value))
	case c == '[' && depth > 0:
		return membersText(value, depth)
	case c == '{' && depth > 0:
		return objectText(value, depth)
	default:
		return ""
	}
}

func objectText(value json.RawMessage, depth int) string {
	var fields struct {
		Message json.RawMessage `json:"message"`
		Error   json.RawMessage `json:"error"`
		Errors  json.RawMessage `json:"errors"`
		Title   json.RawMessage `json:"title"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(value, &fields) != nil {
		return ""
	}
	text := jsonText(fields.Message, depth-1)
	if text == "" {
		text = jsonText(fields.Error, depth-1)
	}
	if text == "" {
		text = joinTexts(": ", jsonText(fields.Title, depth-1), jsonText(fields.Detail, depth-1))
	}
	errs := jsonText(fields.Errors, depth-1)
	if errs == "" && firstByte(fields.Errors) == '{' { // the errors of each field, by its name
		errs = membersText(fields.Errors, depth-1)
	}
	return joinTexts("; ", text, errs)
}

// membersText joins the texts of the members of a list or an object, in their order.
func membersText(value json.RawMessage, depth int) string {
	decoder := json.NewDecoder(bytes.NewReader(value))
	start, err := decoder.Token()
	var texts []string
	for size := 0; err == nil && decoder.More() && size < enoughText; {
		if start == json.Delim('{') {
			if _, err = decoder.Token(); err != nil { // the member's name
				break
			}
		}
		var member json.RawMessage
		err = decoder.Decode(&member)
		if text := jsonText(member, depth-1); !slices.Contains(texts, text) {
			texts = append(texts, text)
			size += len(text)
		}
	}
	return joinTexts("; ", texts...)
}

// joinTexts joins the texts that are not empty.
func joinTexts(separator string, texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), separator)
}

// clean makes a text of the server fit for a condition: one line, printable, bounded.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxMessage {
		return string(runes[:maxMessage-1]) + "…"
	}
	return text
}
