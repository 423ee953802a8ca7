<?php
// A target in PHP: TARGET_SECRET=whsec_... php -S 127.0.0.1:3000 receiver.php

function verified(string $body): bool
{
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $time = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '0';
    if ($id === '' || abs(time() - (int) $time) > 300) {
        return false;
    }
    $key = base64_decode(str_replace('whsec_', '', getenv('TARGET_SECRET')));
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true));
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $given) {
        if (hash_equals($expected, $given)) {
            return true;
        }
    }
    return false;
}

$body = file_get_contents('php://input');
if (!verified($body)) {
    http_response_code(401);
    exit;
}
// $_SERVER['HTTP_WEBHOOK_ID'] is the same in every attempt: remember in your database which are done
$event = json_decode($body, true);
header('Content-Type: application/json');
if ($event['type'] === 'message.text') {
    echo json_encode(['replies' => [['text' => 'You said: ' . $event['data']['text']]]]);
}
