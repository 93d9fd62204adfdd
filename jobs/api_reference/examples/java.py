"""An example call in Java 17, without libraries. Values of responses are found by a pattern."""

from __future__ import annotations

import json
from typing import Any

from .call import KEY_ID_VARIABLE, SECRET_VARIABLE, TASK, Call, Form, Path, Scheme, last_name
from .literals import pretty

SIGNED = """\
    /** POST with Volcengine's signature. */
    static String post(String path, String body) throws Exception {
        String date = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC).format(Instant.now());
        String scope = date.substring(0, 8) + "/cn-north-1/cv/request";
        String canonical = String.join("\\n", "POST", "/", URI.create(BASE + path).getRawQuery(),
            "host:" + URI.create(BASE).getAuthority(), "x-date:" + date, "", "host;x-date", sha256(body));
        String text = String.join("\\n", "HMAC-SHA256", date, scope, sha256(canonical));
        byte[] key = SECRET.getBytes(UTF_8);
        for (String part : scope.split("/")) key = mac(key, part);
        String signature = HexFormat.of().formatHex(mac(key, text));
        return send(HttpRequest.newBuilder(URI.create(BASE + path)).header("X-Date", date)
            .header("Content-Type", "application/json")
            .header("Authorization", "HMAC-SHA256 Credential=" + KEY_ID + "/" + scope
                + ", SignedHeaders=host;x-date, Signature=" + signature)
            .POST(BodyPublishers.ofString(body)).build());
    }

    static String sha256(String text) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(UTF_8)));
    }

    static byte[] mac(byte[] key, String text) throws Exception {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return mac.doFinal(text.getBytes(UTF_8));
    }
"""
SEND = """\
    static String send(HttpRequest request) throws Exception {
        HttpResponse<String> response = HTTP.send(request, BodyHandlers.ofString());
        if (response.statusCode() >= 400) throw new RuntimeException(response.statusCode() + " " + response.body());
        return response.body();
    }
"""
VALUE = """\
    /** The first value of a name in a response. */
    static String value(String answer, String name) {
        Matcher found = Pattern.compile("\\"" + name + "\\": *\\\\[*\\"*([^\\",}]*)").matcher(answer);
        if (!found.find()) throw new RuntimeException(answer);
        return found.group(1);
    }
"""
POST = """\
    static String post(String path, String body) throws Exception {
        return send(request(path).POST(BodyPublishers.ofString(body)).build());
    }
"""
GET = """\
    static String get(String path) throws Exception {
        return send(request(path).GET().build());
    }
"""


def java(call: Call) -> str:
    """The call as a file Example.java that reads the secret from the environment."""
    signed = call.scheme == Scheme.SIGNED
    methods = [SEND, SIGNED] if signed else [_request(call), SEND, POST]
    methods += [GET] if call.polls_by_get else []
    methods += [VALUE] if call.wait or (call.result and call.result.form != Form.PATH) else []
    key_id = json.dumps(call.key_id) if call.key_id else f'System.getenv("{KEY_ID_VARIABLE}")'
    constants = [
        "    static final HttpClient HTTP = HttpClient.newHttpClient();",
        f"    static final String BASE = {json.dumps(call.base_url)};",
        f"    static final String KEY_ID = {key_id};",
        f'    static final String SECRET = System.getenv("{SECRET_VARIABLE}");',
    ]
    main = [
        "    public static void main(String[] arguments) throws Exception {",
        *_program(call),
        "    }",
        "",
    ]
    parts = [
        _imports(call),
        "public class Example {\n" + "\n".join(constants) + "\n",
        "\n".join(main),
        "\n".join(methods),
    ]
    return "\n".join(parts) + "}\n"


def _imports(call: Call) -> str:
    names = [
        "java.net.URI",
        "java.net.http.HttpClient",
        "java.net.http.HttpRequest",
        "java.net.http.HttpResponse",
    ]
    names += ["java.net.http.HttpRequest.BodyPublishers", "java.net.http.HttpResponse.BodyHandlers"]
    names += [
        "java.nio.file.Files",
        "java.nio.file.Path",
        "java.util.regex.Matcher",
        "java.util.regex.Pattern",
    ]
    names += (
        ["java.util.Base64"]
        if (call.result and call.result.form == Form.BASE64) or call.scheme == Scheme.BASIC
        else []
    )
    names += ["java.util.List"] if call.wait else []
    if call.scheme == Scheme.SIGNED:
        names += [
            "java.security.MessageDigest",
            "java.time.Instant",
            "java.time.ZoneOffset",
            "java.util.HexFormat",
        ]
        names += ["java.time.format.DateTimeFormatter", "javax.crypto.Mac", "javax.crypto.spec.SecretKeySpec"]
    lines = [f"import {name};" for name in sorted(names)]
    lines += (
        ["import static java.nio.charset.StandardCharsets.UTF_8;"] if call.scheme == Scheme.SIGNED else []
    )
    return "\n".join([*lines, ""])


def _request(call: Call) -> str:
    first, second = call.header_names
    basic = '.header("Authorization", "Basic " + Base64.getEncoder().encodeToString((KEY_ID + ":" + SECRET).getBytes()))'
    credentials = {
        Scheme.BASIC: basic,
        Scheme.BEARER: '.header("Authorization", "Bearer " + KEY_ID + ":" + SECRET)',
        Scheme.HEADERS: f'.header("{first}", KEY_ID).header("{second}", SECRET)',
    }.get(call.scheme, "")
    line = f"\n            {credentials}" if credentials else ""
    return (
        "    static HttpRequest.Builder request(String path) {\n"
        f"        return HttpRequest.newBuilder(URI.create(BASE + path)){line}\n"
        '            .header("Content-Type", "application/json");\n    }\n'
    )


def _program(call: Call) -> list[str]:
    lines = [f"String answer = post({_path(call.path)}, {_body(call.body)});"]
    if wait := call.wait:
        query = (
            f"get({_path(wait.path)})"
            if wait.body is None
            else f"post({_path(wait.path)}, {_body(wait.body)})"
        )
        lines += [f"String task = {_value(wait.id_at)};"] if wait.id_at else []
        lines += [f"answer = {query};"] if wait.starts_with_query else []
        pending = ", ".join(json.dumps(state) for state in wait.pending)
        lines += [
            f"while (List.of({pending}).contains({_value(wait.state_at)})) {{",
            "    Thread.sleep(1000);",
        ]
        lines += [f"    answer = {query};", "}"]
    result = call.result
    if result is None:
        lines += ["System.out.println(answer);"]
        return ["        " + line.replace("\n", "\n        ") for line in lines]
    file = f'Path.of("{result.file}")'
    if result.form == Form.BASE64:
        lines += [f"Files.write({file}, Base64.getDecoder().decode({_value(result.at)}));"]
    else:
        request = (
            f"HttpRequest.newBuilder(URI.create({_value(result.at)}))"
            if result.at
            else f"request({_path(result.path)})"
        )
        lines += [f"HTTP.send({request}.build(), BodyHandlers.ofFile({file}));"]
    return ["        " + line.replace("\n", "\n        ") for line in lines]


def _value(path: Path) -> str:
    return f'value(answer, "{last_name(path)}")'


def _path(path: str) -> str:
    before, found, after = path.partition(TASK)
    return f'"{before}" + task' + (f' + "{after}"' if after else "") if found else json.dumps(path)


def _body(body: dict[str, Any]) -> str:
    """A text block. Its line breaks are part of the JSON's white space."""
    name = "{credentials}"
    while name in str(body):  # the text of a request must not be replaced
        name = f"{{{name}}}"
    text = pretty(body, f'"{name}"', _escaped)
    block = '"""\n    ' + text.replace("\n", "\n    ") + '"""'
    return block + (f'.replace("{name}", KEY_ID + ":" + SECRET)' if name in text else "")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
