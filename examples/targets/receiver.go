// A target in Go: TARGET_SECRET=whsec_... PORT=3000 go run receiver.go
package main

import (
	"crypto/hmac"; "crypto/sha256"; "encoding/base64"; "encoding/json"; "io"; "log"; "math"; "net/http"; "os"; "strconv"; "strings"; "time"
)

var key, _ = base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("TARGET_SECRET"), "whsec_"))

func verified(body []byte, h http.Header) bool {
	seconds, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || math.Abs(float64(time.Now().Unix()-seconds)) > 300 { return false }
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "." + string(body)))
	expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, given := range strings.Fields(h.Get("webhook-signature")) {
		if hmac.Equal([]byte(given), []byte(expected)) { return true }
	}
	return false
}

func hooks(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if !verified(body, r.Header) { w.WriteHeader(http.StatusUnauthorized); return }
	var event struct{ Type string; Data struct{ Text string } } // webhook-id: the same in every attempt, remember it
	if json.Unmarshal(body, &event) == nil && event.Type == "message.text" {
		reply := map[string]string{"text": "You said: " + event.Data.Text}
		_ = json.NewEncoder(w).Encode(map[string]any{"replies": []any{reply}})
	}
}

func main() { log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), http.HandlerFunc(hooks))) }
