"""A tracking server that speaks the routes of MLflow's REST interface that logging a run uses.

docs.mlflow.org, REST API; the artifacts are those of mlflow 3.17 (server/handlers.py, mlflow-artifacts).
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_API = "/api/2.0/mlflow/"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


class MlflowServer:
    """`with MlflowServer() as server`: experiments by name, runs by id, artifacts by path."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.batches: list[int] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                server._get(self)

            def do_POST(self) -> None:
                self._answer(*server._post(self.path, json.loads(self._body())))

            def do_PUT(self) -> None:
                server.artifacts[self.path.removeprefix(_ARTIFACTS)] = self._body()
                self._answer(200, {})

            def _body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def _answer(self, status: int, document: object) -> None:
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> MlflowServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _get(self, handler: Any) -> None:
        asked = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        if asked.path == f"{_API}experiments/get-by-name":
            name = query["experiment_name"]
            if name in self.experiments:
                experiment = {"experiment_id": self.experiments[name], "name": name}
                handler._answer(200, {"experiment": {**experiment, "lifecycle_stage": "active"}})
                return
            handler._answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such experiment"})
        elif asked.path == f"{_API}runs/get":
            handler._answer(200, {"run": self.runs[query["run_id"]]})
        else:
            handler._answer(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": asked.path})

    def _post(self, path: str, told: dict[str, Any]) -> tuple[int, object]:
        name = path.removeprefix(_API)
        if name == "experiments/create":
            self.experiments[told["name"]] = str(len(self.experiments) + 1)
            return 200, {"experiment_id": self.experiments[told["name"]]}
        if name == "runs/create":
            key, of = f"{len(self.runs):032x}", told["experiment_id"]
            info = {"run_id": key, "run_uuid": key, "experiment_id": of, "run_name": told["run_name"]}
            info |= {"status": "RUNNING", "start_time": told["start_time"], "lifecycle_stage": "active"}
            info["artifact_uri"] = f"mlflow-artifacts:/{of}/{key}/artifacts"
            data = {"metrics": [], "params": [], "tags": told.get("tags", [])}
            self.runs[key] = {"info": info, "data": data}
            return 200, {"run": self.runs[key]}
        run = self.runs[told["run_id"]]
        if name == "runs/log-batch":
            kinds = ("metrics", "params", "tags")
            self.batches.append(sum(len(told.get(kind, [])) for kind in kinds))
            for kind in kinds:
                run["data"][kind] += told.get(kind, [])
            return 200, {}
        if name == "runs/update":
            run["info"] |= {"status": told["status"], "end_time": told.get("end_time")}
            return 200, {"run_info": run["info"]}
        return 404, {"error_code": "ENDPOINT_NOT_FOUND", "message": path}
